#pragma once
// Numbers for tests and benchmarks, and how far results may be from them.
#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/dtype.h"
#include "kernels/philox.h"

namespace stopgrad::test {

template <class T>
double to_double(T x) {
  if constexpr (std::is_same_v<T, bf16>) return float(x);
  else return double(x);
}
template <class T>
T from_double(double x) {
  if constexpr (std::is_same_v<T, bf16>) return bf16(static_cast<float>(x));
  else return static_cast<T>(x);
}

/// Uniform in [low, high), the same on every machine.
template <class T>
std::vector<T> random(size_t count, uint64_t seed, double low = -1, double high = 1) {
  std::vector<T> out(count);
  for (size_t i = 0; i < count; ++i) {
    const Philox p = philox(seed, Purpose::test, static_cast<uint32_t>(i), 0, 0, 0);
    out[i] = from_double<T>(low + (high - low) * ((p.v[0] + p.v[1] * 0x1p-32) * 0x1p-32));
  }
  return out;
}

/// Small whole numbers in [low, high]: sums stay exact, so schedules must agree bit for bit.
template <class T>
std::vector<T> integers(size_t count, uint64_t seed, int low = -2, int high = 2) {
  std::vector<T> out(count);
  for (size_t i = 0; i < count; ++i) {
    const Philox p = philox(seed, Purpose::test, static_cast<uint32_t>(i), 1, 0, 0);
    out[i] = from_double<T>(low + static_cast<int>(p.v[0] % static_cast<uint32_t>(high - low + 1)));
  }
  return out;
}

template <class T>
std::vector<double> doubles(const std::vector<T>& x) {
  std::vector<double> out(x.size());
  std::transform(x.begin(), x.end(), out.begin(), [](T v) { return to_double(v); });
  return out;
}

/// Unit roundoff times two: the spacing of T at 1.
template <class T>
inline constexpr double epsilon_of = 0x1p-23;
template <>
inline constexpr double epsilon_of<double> = 0x1p-52;
template <>
inline constexpr double epsilon_of<bf16> = 0x1p-7;

/// Tolerance of a sum of `length` terms kept in Acc<T> and stored as T, whose terms have size `scale`:
/// 8 eps(Acc) sqrt(length) scale for the sum, and half a spacing of T, relative, for the rounding of the
/// result.
template <class T>
struct Tolerance {
  double length = 1, scale = 1;
  double at(double want) const {
    return 8 * epsilon_of<Acc<T>> * std::sqrt(length) * scale + 0.5 * epsilon_of<T> * std::abs(want);
  }
};

/// Tolerance of a long sum of random terms with this root mean square, added one after the other: each
/// addition rounds a partial sum of size rms sqrt(l), which comes to 0.15 eps(Acc) rms length for all; 13
/// times that.
template <class T>
Tolerance<T> tolerance_of_sequence(double length, double rms) {
  return {length * length, rms / 4};
}

}  // namespace stopgrad::test
