#include "kernels/batch_norm_tiles.cuh"
#include "kernels/reduce.h"
#include "kernels/rows.cuh"

namespace stopgrad::cuda {

namespace {

// What is summed over the rows of a matrix: term(x, row, channel), and what becomes of the sum.

struct BiasGradient {
  using Sum = float;
  float* sum;
  bool accumulate;
  __device__ float term(float x, int, int) const { return x; }
  __device__ void finish(int channel, float all) const { put(sum + channel, all, accumulate); }
};

struct UnitMean {
  using Sum = double;
  const double* inv_norm;
  double* mean;
  int rows;
  __device__ double term(float x, int row, int) const { return x * inv_norm[row]; }
  __device__ void finish(int channel, double all) const { mean[channel] = all / rows; }
};

struct UnitDeviation {
  using Sum = double;
  const double *inv_norm, *mean;
  double* std;
  int rows;
  __device__ double term(float x, int row, int channel) const {
    const double off = x * inv_norm[row] - mean[channel];
    return off * off;
  }
  __device__ void finish(int channel, double all) const { std[channel] = sqrt(all / rows); }
};

/// Sums of P channels over the rows of a part, then over the rows of the block in a fixed tree. One part is
/// all there is to sum.
template <class T, int P, class Term>
__global__ void __launch_bounds__(norm::kThreads, norm::kBlocks)
    column_parts(const T* x, int rows, int channels, int part_rows, Term term, typename Term::Sum* parts) {
  await_previous_kernel();
  using A = typename Term::Sum;
  const int first = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x) * P;
  const int begin = static_cast<int>(blockIdx.y) * part_rows, end = min(rows, begin + part_rows);
  const int step = static_cast<int>(blockDim.y);
  int row = begin + static_cast<int>(threadIdx.y);
  A sum[1][P] = {};
  if (first < channels)
#pragma unroll 4
    for (int left = (end - row + step - 1) / step; left > 0; --left, row += step) {
      float v[P];
      load<P>(x + int64_t{row} * channels + first, v);
#pragma unroll
      for (int k = 0; k < P; ++k) sum[0][k] += term.term(v[k], row, first + k);
    }
  norm::sum_rows(sum);
  if (threadIdx.y > 0 || first >= channels) return;
#pragma unroll
  for (int k = 0; k < P; ++k)
    if (gridDim.y == 1) term.finish(first + k, sum[0][k]);
    else parts[int64_t{blockIdx.y} * channels + first + k] = sum[0][k];
}

/// One warp per channel.
template <class Term>
__global__ void __launch_bounds__(128)
    column_finish(const typename Term::Sum* parts, int count, int channels, Term term) {
  await_previous_kernel();
  const int c = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x) / 32,
            lane = static_cast<int>(threadIdx.x) % 32;
  if (c >= channels) return;  // whole warps
  typename Term::Sum all = 0;
  for (int p = lane; p < count; p += 32) all += parts[int64_t{p} * channels + c];
  all = warp_sum(all);
  if (lane == 0) term.finish(c, all);
}

template <class T, int P, class Term>
void sum_columns(const T* x, int rows, int channels, const norm::Tiles& tiles, const Term& term,
                 typename Term::Sum* parts, Context& context) {
  LAUNCH(context, (column_parts<T, P, Term>), tiles.grid(1), tiles.block(), 0, x, rows, channels,
         tiles.part_rows, term, parts);
  if (tiles.parts > 1)
    LAUNCH(context, (column_finish<Term>), blocks_for(channels, 4), 128, 0, parts, tiles.parts, channels,
           term);
}

/// Lengths are taken in double, as the statistics are.
template <class T, int P, bool wide>
__global__ void __launch_bounds__(rows::kThreads, rows::kMinBlocks)
    unit_row_norms(const T* x, int rows, int channels, double* inv_norm) {
  await_previous_kernel();
  const rows::Team<wide, P> team;
  if (team.row >= rows) return;  // whole warps, and none of a wide team
  double squares[1] = {0};
#pragma unroll 4
  for (int i = team.first; i < channels; i += team.step) {
    float v[P];
    load<P>(x + int64_t{team.row} * channels + i, v);
#pragma unroll
    for (int k = 0; k < P; ++k) squares[0] = fma(double{v[k]}, double{v[k]}, squares[0]);
  }
  rows::sum<wide>(squares);
  if (team.first == 0) inv_norm[team.row] = rows::inverse_norm(squares[0]);
}

}  // namespace

template <class T>
void run(const ColumnSum<T>& call, Context& context) {
  rows::choose<T>(aligned(call.x), call.channels, [&](auto P, auto) {
    const norm::Tiles tiles(1, call.rows, call.channels, P);
    auto* const parts = context.scratch_of<float>(static_cast<size_t>(tiles.parts) * call.channels);
    sum_columns<T, P.value>(call.x, call.rows, call.channels, tiles, BiasGradient{call.sum, call.accumulate},
                            parts, context);
  });
}

template <class T>
void run(const UnitRowStatistics<T>& call, Context& context) {
  rows::choose<T>(aligned(call.x), call.channels, [&](auto P, auto wide) {
    const norm::Tiles tiles(1, call.rows, call.channels, P);
    const size_t sums = static_cast<size_t>(tiles.parts) * call.channels;
    auto* const parts = context.scratch_of<double>(sums + call.rows);
    double* const inv_norm = parts + sums;
    LAUNCH(context, (unit_row_norms<T, P.value, wide.value>), rows::blocks(call.rows, wide), rows::kThreads,
           0, call.x, call.rows, call.channels, inv_norm);
    const UnitMean mean{inv_norm, call.mean, call.rows};
    sum_columns<T, P.value>(call.x, call.rows, call.channels, tiles, mean, parts, context);
    const UnitDeviation deviation{inv_norm, call.mean, call.std, call.rows};
    sum_columns<T, P.value>(call.x, call.rows, call.channels, tiles, deviation, parts, context);
  });
}

template void run(const ColumnSum<float>&, Context&);
template void run(const ColumnSum<bf16>&, Context&);
template void run(const UnitRowStatistics<float>&, Context&);
template void run(const UnitRowStatistics<bf16>&, Context&);

}  // namespace stopgrad::cuda
