#include <catch2/catch.hpp>

#include "kernels/cuda_context.h"
#include "tests/golden_steps.h"

using namespace stopgrad;
using namespace stopgrad::test::golden;

TEST_CASE("ten steps on CUDA equal PyTorch's in both forms of the views", "[cuda][golden]") {
  cuda::Context context;
  for (ViewForm form : {ViewForm::branch, ViewForm::batched}) {
    DYNAMIC_SECTION((form == ViewForm::branch ? "branch" : "batched")) {
      compare_with_pytorch<float>("simsiam_heads.safetensors", false, form, {.cuda = &context});
      compare_with_pytorch<float>("simsiam_resnet.safetensors", true, form, {.cuda = &context});
    }
  }
}
