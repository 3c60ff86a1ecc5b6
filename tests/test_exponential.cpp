#include "kernels/exponential.h"

#include <limits>

#include "tests/compare.h"

using namespace stopgrad;

namespace {

/// Distance from the true value in units in the last place of a float there.
double off(float x) {
  const double want = std::exp(double(x));
  const float near = std::abs(static_cast<float>(want));
  const double unit = std::max(0x1p-149, double(std::nextafter(near, INFINITY)) - near);
  return std::abs(cpu::exponential(x) - want) / unit;
}

}  // namespace

TEST_CASE("the exponential is within two units in the last place", "[exponential]") {
  double worst = 0;
  for (const float sign : {-1.0f, 1.0f}) {
    const auto last = std::bit_cast<uint32_t>(sign < 0 ? 110.0f : 88.7f);
    for (uint32_t bits = 0; bits <= last; bits += 769)
      worst = std::max(worst, off(sign * std::bit_cast<float>(bits)));
  }
  INFO("off by " << worst);
  CHECK(worst <= 2);
}

TEST_CASE("the exponential of 0, of the infinities and of NaN is exact", "[exponential]") {
  constexpr float infinity = std::numeric_limits<float>::infinity();
  CHECK(cpu::exponential(0.0f) == 1);
  CHECK(cpu::exponential(-0.0f) == 1);
  CHECK(cpu::exponential(infinity) == infinity);
  CHECK(cpu::exponential(1e4f) == infinity);
  CHECK(cpu::exponential(88.8f) == infinity);
  CHECK(cpu::exponential(-infinity) == 0);
  CHECK(cpu::exponential(-1e30f) == 0);
  CHECK(std::isnan(cpu::exponential(std::numeric_limits<float>::quiet_NaN())));
}
