#pragma once
// Loops that CPU schedules share. How work is split depends on sizes alone, so that results have the same
// bits with any number of threads.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>

#include "kernels/context.h"
#include "kernels/element.h"
#include "kernels/normalize.h"

namespace stopgrad::cpu {

/// With fewer elements than this, waking a second thread costs more than it gives.
inline constexpr int64_t kParallelFrom = 32768;

/// y = value, or y += value when `accumulate`; then what y held before is not looked at otherwise.
template <class T>
inline void put(T& y, Acc<T> value, bool accumulate) {
  put_element(&y, value, accumulate);
}

/// f(i) for every i in [0, count): vectorised, and threaded when there are many.
template <class F>
inline void each(int64_t count, Context& context, F f) {
#pragma omp parallel for simd num_threads(context.threads()) firstprivate(f) if (parallel \
                                                                                 : count >= kParallelFrom)
  for (int64_t i = 0; i < count; ++i) f(i);
}

/// f(row) for every row in [0, rows), threaded when `elements`, the work of all rows, are many.
template <class F>
inline void each_row(int64_t rows, int64_t elements, Context& context, F f) {
#pragma omp parallel for num_threads(context.threads()) firstprivate(f) if (elements >= kParallelFrom)
  for (int64_t row = 0; row < rows; ++row) f(row);
}

/// f(i) for every i in [0, count) on this thread, vectorised: the columns of a row.
template <class F>
inline void each_column(int count, F f) {
#pragma omp simd
  for (int i = 0; i < count; ++i) f(i);
}

/// y[i] = or += f(i) for every i in [0, count), as each_column: without a choice inside the loop.
template <class T, class F>
inline void put_columns(T* y, int count, bool accumulate, F f) {
  if (accumulate) each_column(count, [=](int i) { put(y[i], f(i), true); });
  else each_column(count, [=](int i) { put(y[i], f(i), false); });
}

/// The sums of terms(i), an array of n, over [0, count) in an order that neither threads, alignment nor
/// vector width change: `lanes` sums side by side, then halved until one is left.
template <class A, int n, class F>
inline std::array<A, n> sums_over(int count, F terms) {
  constexpr int lanes = 128 / sizeof(A);
  A sum[n][lanes] = {};
  const auto add = [&](int lane, int i) {
    const std::array<A, n> term = terms(i);
    for (int k = 0; k < n; ++k) sum[k][lane] += term[k];
  };
  int i = 0;
  for (; i + lanes <= count; i += lanes) {
#pragma omp simd
    for (int lane = 0; lane < lanes; ++lane) add(lane, i + lane);
  }
  for (int lane = 0; i + lane < count; ++lane) add(lane, i + lane);
  std::array<A, n> out;
  for (int k = 0; k < n; ++k) {
    for (int half = lanes / 2; half > 0; half /= 2) {
      for (int lane = 0; lane < half; ++lane) sum[k][lane] += sum[k][lane + half];
    }
    out[k] = sum[k][0];
  }
  return out;
}
template <class A, class F>
inline A sum_over(int count, F term) {
  return sums_over<A, 1>(count, [=](int i) { return std::array<A, 1>{A(term(i))}; })[0];
}

/// The largest of x [count]; -infinity when all are NaN.
template <class T>
inline Acc<T> largest(const T* x, int count) {
  Acc<T> most = -std::numeric_limits<Acc<T>>::infinity();
#pragma omp simd reduction(max : most)
  for (int i = 0; i < count; ++i) {
    const Acc<T> value = load_element(x + i);
    most = value > most ? value : most;
  }
  return most;
}

/// a . b in the type of sums
template <class T>
inline Acc<T> dot(const T* a, const T* b, int count) {
  return sum_over<Acc<T>>(count, [=](int i) { return load_element(a + i) * load_element(b + i); });
}

/// 1 / max(|u|, floor) from |u|^2; NaN stays NaN.
template <class A>
inline A inverse_norm(A squares) {
  return 1 / std::max(std::sqrt(squares), static_cast<A>(kNormFloor));
}

/// Whether this is the inverse of the floor: then u / max(|u|, floor) is linear in u.
template <class A>
inline bool is_floored(A inv_norm) {
  return inv_norm == 1 / static_cast<A>(kNormFloor);
}

}  // namespace stopgrad::cpu
