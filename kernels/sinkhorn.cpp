#include "kernels/sinkhorn.h"

#include "kernels/exponential.h"
#include "kernels/loops.h"
#include "kernels/scratch_pieces.h"

namespace stopgrad::cpu {

namespace {

/// Columns that a task takes: a few cache lines of every row.
constexpr int kColumns = 64;

/// u[j] = -log of the sum over rows of exp(s_ij / epsilon + v_i), for columns [begin, end).
template <class T>
void balance_columns(const Sinkhorn<T>& c, const T* v, int begin, int end, T* u) {
  const T inverse = 1 / c.epsilon;
  const int count = end - begin;
  T most[kColumns], sum[kColumns] = {};
  std::fill_n(most, count, -std::numeric_limits<T>::infinity());
  for (int row = 0; row < c.rows; ++row) {
    const T* const s = c.scores + int64_t{row} * c.channels + begin;
#pragma omp simd
    for (int j = 0; j < count; ++j) {
      const T value = s[j] * inverse + v[row];
      most[j] = value > most[j] ? value : most[j];
    }
  }
  for (int row = 0; row < c.rows; ++row) {
    const T* const s = c.scores + int64_t{row} * c.channels + begin;
#pragma omp simd
    for (int j = 0; j < count; ++j) sum[j] += exponential(s[j] * inverse + v[row] - most[j]);
  }
  for (int j = 0; j < count; ++j) u[begin + j] = -(most[j] + std::log(sum[j]));
}

/// v_i = -log of the sum over j of exp(s_ij / epsilon + u_j), of one row.
template <class T>
T balance_row(const T* s, const T* u, T inverse, int channels) {
  T most = -std::numeric_limits<T>::infinity();
#pragma omp simd reduction(max : most)
  for (int j = 0; j < channels; ++j) {
    const T value = s[j] * inverse + u[j];
    most = value > most ? value : most;
  }
  const T sum = sum_over<T>(channels, [=](int j) { return exponential(s[j] * inverse + u[j] - most); });
  return -(most + std::log(sum));
}

}  // namespace

template <class T>
void run(const Sinkhorn<T>& c, Context& context) {
  const auto pieces = scratch_pieces<2>(context, {sizeof(T) * c.channels, sizeof(T) * c.rows});
  auto *const u = reinterpret_cast<T*>(pieces[0]), *const v = reinterpret_cast<T*>(pieces[1]);
  std::fill_n(u, c.channels, T(0));
  std::fill_n(v, c.rows, T(0));
  const T inverse = 1 / c.epsilon;
  const int64_t elements = int64_t{c.rows} * c.channels;
  for (int i = 0; i < c.iterations; ++i) {
    each_run(c.channels, kColumns, context, [=](int64_t begin, int64_t end) {
      balance_columns(c, v, static_cast<int>(begin), static_cast<int>(end), u);
    });
    each_row(c.rows, 2 * elements, context,
             [=](int64_t row) { v[row] = balance_row(c.scores + row * c.channels, u, inverse, c.channels); });
  }
  each_row(c.rows, elements, context, [=](int64_t row) {
    const T* const s = c.scores + row * c.channels;
    const T of_row = v[row];
    put_columns(c.log_q + row * c.channels, c.channels, false,
                [=](int j) { return s[j] * inverse + u[j] + of_row; });
  });
}

template void run(const Sinkhorn<float>&, Context&);
template void run(const Sinkhorn<double>&, Context&);

}  // namespace stopgrad::cpu
