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

/// Elements of a task: fewer are done before a second thread wakes, more hold up the others for long.
inline constexpr int64_t kTaskElements = 16384;

/// y = value, or y += value when `accumulate`; then what y held before is not looked at otherwise.
template <class T>
inline void put(T& y, Acc<T> value, bool accumulate) {
  put_element(&y, value, accumulate);
}

/// f(begin, end) for runs of `grain` in [0, count), shared among the threads.
template <class F>
inline void each_run(int64_t count, int64_t grain, Context& context, F f) {
  context.share((count + grain - 1) / grain, [=](int64_t run, int) {
    const F of_this_thread = f;  // the compiler sees that nothing it writes to can change what it captured
    of_this_thread(run * grain, std::min(count, (run + 1) * grain));
  });
}

/// f(i) for every i in [0, count): vectorised, and threaded when there are many.
template <class F>
inline void each(int64_t count, Context& context, F f) {
  each_run(count, kTaskElements, context, [=](int64_t begin, int64_t end) {
#pragma omp simd
    for (int64_t i = begin; i < end; ++i) f(i);
  });
}

/// f(row) for every row in [0, rows), threaded when `elements`, the work of all rows, are many.
template <class F>
inline void each_row(int64_t rows, int64_t elements, Context& context, F f) {
  if (rows <= 0) return;
  const int64_t grain = std::max<int64_t>(1, rows * kTaskElements / std::max<int64_t>(1, elements));
  each_run(rows, grain, context, [=](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) f(row);
  });
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

/// Joins all parts into part 0 in a fixed tree: join(a, b, end) adds parts [b, end) to parts [a, b).
template <class F>
void join_pairwise(int parts, F join) {
  for (int width = 1; width < parts; width *= 2)
    for (int a = 0; a + width < parts; a += 2 * width) join(a, a + width, std::min(a + 2 * width, parts));
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
