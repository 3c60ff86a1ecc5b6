#include "kernels/gemm.h"
#include "tests/cases.h"
#include "tests/compare.h"
#include "tests/cuda/mirror.h"

using namespace stopgrad;
using namespace stopgrad::test;

namespace {

/// The product on the CPU and on the device, from whole numbers: every sum is exact.
template <class T, class Out>
void check_exact(const GemmCase& shape, bool transpose_a, bool transpose_b, bool bias, bool accumulate) {
  const auto m = static_cast<size_t>(shape.m), n = static_cast<size_t>(shape.n),
             k = static_cast<size_t>(shape.k);
  std::vector<T> a = integers<T>(m * k, 1), b = integers<T>(k * n, 2);
  std::vector<Acc<T>> offsets = bias ? integers<Acc<T>>(n, 3) : std::vector<Acc<T>>();
  std::vector<Out> want = integers<Out>(m * n, 4), got = want;
  if (!accumulate) fill_nan(got);
  Gemm<T, Out> call{shape.m,  shape.n,  shape.k,     transpose_a, transpose_b,
                    a.data(), b.data(), want.data(), accumulate,  bias ? offsets.data() : nullptr};
  cpu::Context context(1);
  context.set_exact(true);
  cpu::run(call, context);
  call.c = got.data();
  Mirror mirror;
  mirror.add(a, b, offsets, got);
  mirror.move(call.a, call.b, call.c, call.bias);
  run(call, device());
  mirror.fetch();
  CHECK(same_bits(got, want));
}

}  // namespace

TEST_CASE("a matrix product on CUDA is exact on whole numbers", "[cuda][gemm]") {
  for (const GemmCase& shape : gemm_cases()) {
    if (!affordable(int64_t{shape.m} * shape.n * shape.k / 50, shape.real)) continue;
    for (const bool ta : {false, true})
      for (const bool tb : {false, true})
        for (const bool bias : {false, true})
          for (const bool accumulate : {false, true}) {
            INFO(shape.name << ", transposed " << ta << tb << ", bias " << bias << ", accumulate "
                            << accumulate);
            check_exact<float, float>(shape, ta, tb, bias, accumulate);
            check_exact<bf16, bf16>(shape, ta, tb, bias, accumulate);
            check_exact<bf16, float>(shape, ta, tb, bias, accumulate);
          }
  }
}
