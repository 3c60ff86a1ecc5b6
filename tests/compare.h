#pragma once
// Comparisons. Exact data must agree bit for bit; random data within a tolerance that has a formula.
#include <catch2/catch.hpp>

#include <cstring>

#include "tests/numbers.h"

namespace stopgrad::test {

/// Largest share of the tolerance that any element uses; above 1 is a failure. NaN counts as a failure.
template <class T>
double used(const std::vector<T>& got, const std::vector<double>& want, const Tolerance<T>& tolerance) {
  REQUIRE(got.size() == want.size());
  double worst = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    const double share = std::abs(to_double(got[i]) - want[i]) / tolerance.at(want[i]);
    if (!(share <= worst)) worst = std::isnan(share) ? INFINITY : share;
  }
  return worst;
}

template <class T>
void check_close(const std::vector<T>& got, const std::vector<double>& want, const Tolerance<T>& tolerance) {
  const double share = used(got, want, tolerance);
  INFO("uses " << 100 * share << " % of the tolerance");
  CHECK(share <= 1);
}

template <class T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0);
}

}  // namespace stopgrad::test
