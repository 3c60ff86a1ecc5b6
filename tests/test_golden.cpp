#include <catch2/catch.hpp>

#include "tests/golden_steps.h"

using namespace stopgrad;
using namespace stopgrad::test::golden;

TEST_CASE("ten steps equal PyTorch's, in double and in float, in both forms of the views", "[golden]") {
  cpu::Context context(2);
  context.set_exact(true);
  const Device device{.cpu = &context};
  for (ViewForm form : {ViewForm::branch, ViewForm::batched}) {
    DYNAMIC_SECTION((form == ViewForm::branch ? "branch" : "batched")) {
      compare_with_pytorch<double>("simsiam_heads.safetensors", false, form, device);
      compare_with_pytorch<float>("simsiam_heads.safetensors", false, form, device);
      compare_with_pytorch<double>("simsiam_resnet.safetensors", true, form, device);
      compare_with_pytorch<float>("simsiam_resnet.safetensors", true, form, device);
    }
  }
}
