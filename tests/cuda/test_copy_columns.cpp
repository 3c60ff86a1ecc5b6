#include "kernels/copy_columns.h"

#include "tests/compare.h"
#include "tests/cuda/mirror.h"

using namespace stopgrad;
using namespace stopgrad::test;

TEMPLATE_TEST_CASE("columns are added and dropped on CUDA and on the CPU alike", "[cuda][copy_columns]",
                   float, bf16) {
  using T = TestType;
  for (const int64_t rows : {1, 85, 576})
    for (const auto& [from, to] : {std::pair{3, 8}, {8, 3}, {1, 8}, {5, 5}})
      for (const bool accumulate : {false, true}) {
        if (!affordable(rows * to)) continue;
        INFO(rows << " rows, " << from << " columns to " << to << ", accumulate " << accumulate);
        auto x = integers<T>(size_t(rows * from), 1), want = integers<T>(size_t(rows * to), 2);
        const auto old = want;
        if (!accumulate) fill_nan(want);
        auto got = want;
        cpu::Context context(1);
        cpu::run(CopyColumns<T>{rows, from, to, x.data(), want.data(), accumulate}, context);
        Mirror mirror;
        mirror.add(x, got);
        run(CopyColumns<T>{rows, from, to, mirror(x.data()), mirror(got.data()), accumulate}, device());
        mirror.fetch();
        CHECK(same_bits(got, want));
        for (int64_t i = 0; i < rows * to; ++i) {
          const int64_t row = i / to, column = i % to;
          const double copied = column < from ? to_double(x[size_t(row * from + column)]) : 0;
          REQUIRE(to_double(want[size_t(i)]) == copied + (accumulate ? to_double(old[size_t(i)]) : 0));
        }
      }
}
