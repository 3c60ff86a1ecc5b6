#include <catch2/catch.hpp>

#include <cmath>
#include <limits>

#include "kernels/context.h"
#include "kernels/dtype.h"

using namespace stopgrad;

TEST_CASE("bf16 rounds to nearest even and keeps infinities and NaN") {
  CHECK(float(bf16(1.0f)) == 1.0f);
  CHECK(float(bf16(1.0f + 0x1p-8f)) == 1.0f);                // tie goes to the even neighbour
  CHECK(float(bf16(1.0f + 3 * 0x1p-8f)) == 1.0f + 0x1p-6f);  // tie upwards
  CHECK(float(bf16(-std::numeric_limits<float>::infinity())) == -std::numeric_limits<float>::infinity());
  CHECK(std::isnan(float(bf16(std::numeric_limits<float>::quiet_NaN()))));
}

TEST_CASE("scratch memory grows to the largest request and stays") {
  cpu::Context context(1);
  context.scratch(100);
  context.scratch(100000);
  const size_t grown = context.scratch_bytes();
  context.scratch(50);
  CHECK(grown >= 100000);
  CHECK(context.scratch_bytes() == grown);
}
