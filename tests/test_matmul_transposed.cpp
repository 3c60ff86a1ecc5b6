#include "engine/ops.h"

#include "tests/gradcheck.h"
#include "tests/reference/rows.h"

using namespace stopgrad;
using namespace stopgrad::test;

TEST_CASE("every row of a meets every row of b, in the type of sums", "[matmul_transposed]") {
  const Bench bench;
  const auto a = as<bf16>(Matrix{2, 3, {1, 2, 3, 4, 5, 6}}),
             b = as<bf16>(Matrix{3, 3, {1, 0, 1, 0.5, 257, 0, 0, 0, 9}});
  Tape tape;
  const Var left = tape.variable(Tensor::of(bench.pool(), {2, 3}, a)),
            right = tape.variable(Tensor::of(bench.pool(), {3, 3}, b));
  const Var y = matmul_transposed(left, right);
  // 256, since bf16 rounds 257 to it; the product 512.5 would be 512 in bf16
  CHECK(y.value.to_vector<float>() == std::vector<float>{4, 512.5, 27, 10, 1282, 54});
  const Var loss = cross_entropy(y, Tensor::of<int32_t>(bench.pool(), {2}, {1, 1}));
  tape.backward(loss);
  CHECK(tape.gradient(left).dtype() == DType::bf16);
  CHECK(tape.gradient(right).dtype() == DType::bf16);
}

TEST_CASE("matrices of different widths are an error with both shapes", "[matmul_transposed]") {
  const Bench bench;
  Tape tape;
  const Var a = tape.variable(Tensor::of<double>(bench.pool(), {2, 3}, std::vector<double>(6))),
            b = tape.variable(Tensor::of<double>(bench.pool(), {3, 2}, std::vector<double>(6)));
  CHECK_THROWS_WITH(matmul_transposed(a, b), Catch::Contains("a is [2,3], b is [3,2]"));
}
