#include "kernels/rows.cuh"
#include "kernels/sinkhorn.h"

namespace stopgrad::cuda {

using namespace rows;

namespace {

constexpr int kTileColumns = 32, kTileRows = 8;  // threads of a block that walks down columns

/// Joins sum * exp(most) of two parts; one of them may be empty, whose most is -infinity.
__device__ __forceinline__ void join(float& most, float& sum, float other_most, float other_sum) {
  const float top = fmaxf(most, other_most);
  if (top == -INFINITY) return;
  sum = sum * expf(most - top) + other_sum * expf(other_most - top);
  most = top;
}

/// u[j] = -log of the sum over rows of exp(s_ij / epsilon + v_i); v is 0 in the first iteration. A block
/// takes 32 columns, its warps every eighth row of them.
__global__ void __launch_bounds__(kTileColumns* kTileRows)
    balance_columns(Sinkhorn<float> call, const float* v, bool first, float* u) {
  await_previous_kernel();
  SHARED(float, parts, [kTileRows][2][kTileColumns]);
  const int lane = static_cast<int>(threadIdx.x), warp = static_cast<int>(threadIdx.y);
  const int column = static_cast<int>(blockIdx.x) * kTileColumns + lane;
  const float inverse = 1 / call.epsilon;
  float most = -INFINITY, sum = 0;
  if (column < call.channels) {
    const float* const s = call.scores + column;
    const auto value = [&](int row) {
      return s[int64_t{row} * call.channels] * inverse + (first ? 0 : v[row]);
    };
#pragma unroll 4
    for (int row = warp; row < call.rows; row += kTileRows) most = fmaxf(most, value(row));
#pragma unroll 4
    for (int row = warp; row < call.rows; row += kTileRows) sum += expf(value(row) - most);
  }
  parts[warp][0][lane] = most;
  parts[warp][1][lane] = sum;
  __syncthreads();
  if (warp > 0 || column >= call.channels) return;
  for (int other = 1; other < kTileRows; ++other)
    join(most, sum, parts[other][0][lane], parts[other][1][lane]);
  u[column] = -(most + logf(sum));
}

/// v_i = -log of the sum over j of exp(s_ij / epsilon + u_j), and after the last iteration log q.
template <int P, bool wide>
__global__ void __launch_bounds__(kThreads, kMinBlocks)
    balance_rows(Sinkhorn<float> call, const float* u, bool last, float* v) {
  await_previous_kernel();
  const Team<wide, P> team;
  if (team.row >= call.rows) return;  // whole warps, and none of a wide team
  const int64_t begin = int64_t{team.row} * call.channels;
  const float inverse = 1 / call.epsilon;
  const auto read = [&](int i, float(&value)[P]) {
    float of_column[P];
    load<P>(call.scores + begin + i, value);
    load<P>(u + i, of_column);
#pragma unroll
    for (int k = 0; k < P; ++k) value[k] = value[k] * inverse + of_column[k];
  };
  float most[1] = {-INFINITY}, total[1] = {0};
  float value[P];
#pragma unroll 2
  for (int i = team.first; i < call.channels; i += team.step) {
    read(i, value);
#pragma unroll
    for (int k = 0; k < P; ++k) most[0] = fmaxf(most[0], value[k]);
  }
  largest<wide>(most);
#pragma unroll 2
  for (int i = team.first; i < call.channels; i += team.step) {
    read(i, value);
#pragma unroll
    for (int k = 0; k < P; ++k) total[0] += expf(value[k] - most[0]);
  }
  sum<wide>(total);
  const float of_row = -(most[0] + logf(total[0]));
  if (!last) {
    if (team.first == 0) v[team.row] = of_row;
    return;
  }
#pragma unroll 2
  for (int i = team.first; i < call.channels; i += team.step) {
    read(i, value);
#pragma unroll
    for (int k = 0; k < P; ++k) value[k] += of_row;
    store<P>(call.log_q + begin + i, value);
  }
}

}  // namespace

template <>
void run(const Sinkhorn<float>& call, Context& context) {
  const size_t padded =
      (static_cast<size_t>(call.channels) + 63) / 64 * 64;  // v begins where u's packs may end
  auto* const u = context.scratch_of<float>(padded + static_cast<size_t>(call.rows));
  float* const v = u + padded;
  for (int i = 0; i < call.iterations; ++i) {
    LAUNCH(context, balance_columns, blocks_for(call.channels, kTileColumns), dim3(kTileColumns, kTileRows),
           0, call, v, i == 0, u);
    choose<float>(aligned(call.scores) && aligned(call.log_q), call.channels, [&](auto P, auto wide) {
      LAUNCH(context, (balance_rows<P.value, wide.value>), blocks(call.rows, wide), kThreads, 0, call, u,
             i + 1 == call.iterations, v);
    });
  }
}

}  // namespace stopgrad::cuda
