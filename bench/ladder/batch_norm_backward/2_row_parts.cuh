#pragma once
// What: blocks share out the rows; a warp per channel joins their sums in order; a third launch makes dx.
// Why:  as in versions 3 and 4 of forward: every byte is used, hundreds of blocks run, bits repeat.
// Cost: two launches more, and sums that go through memory: 8 bytes per part and channel.
#include "bench/ladder/batch_norm_backward/1_thread_per_channel.cuh"

namespace stopgrad::ladder::batch_norm_backward::row_parts {

using thread_per_channel::relu_gradient;

/// parts[p, c]: sums over part p of dy' and of dy' (x - mean).
template <class T>
__global__ void __launch_bounds__(kThreads)
    sum_parts(BatchNormBackward<T> call, const T* dy, int part_rows, float2* parts) {
  await_previous_kernel();
  const int c = static_cast<int>(thread_of_grid());
  float sums[2][1] = {};
  if (c < call.channels) {
    const float mean = call.mean[c];
    OneRow::walk(call.rows, call.channels, part_rows, c, [&](int64_t at) {
      const float grad = to_float(dy[at]);
      sums[0][0] += grad;
      sums[1][0] = fmaf(grad, to_float(call.x[at]) - mean, sums[1][0]);
    });
  }
  sum_rows(sums);
  if (threadIdx.y == 0 && c < call.channels)
    parts[int64_t{blockIdx.y} * call.channels + c] = make_float2(sums[0][0], sums[1][0]);
}

/// means[c]: mean(dy'), and the slope rstd mean(dy' xhat).
template <class T>
__global__ void __launch_bounds__(128)
    join_parts(BatchNormBackward<T> call, const float2* parts, int count, float2* means) {
  await_previous_kernel();
  const int c = static_cast<int>(thread_of_grid()) / 32, lane = static_cast<int>(threadIdx.x) % 32;
  if (c >= call.channels) return;  // whole warps
  double sum = 0, dot = 0;
  for (int p = lane; p < count; p += 32) {
    const float2 part = parts[int64_t{p} * call.channels + c];
    sum += part.x;
    dot += part.y;
  }
  sum = warp_sum(sum);
  dot = warp_sum(dot);
  if (lane > 0) return;
  const float rstd = call.rstd[c], share = 1 / static_cast<float>(call.rows);
  const float dgamma = rstd * static_cast<float>(dot), dbeta = static_cast<float>(sum);
  call.dgamma[c] = dgamma;
  call.dbeta[c] = dbeta;
  means[c] = make_float2(dbeta * share, rstd * (dgamma * share));
}

template <class T>
__global__ void __launch_bounds__(kThreads)
    apply(BatchNormBackward<T> call, const T* dy, int part_rows, const float2* means) {
  await_previous_kernel();
  const int c = static_cast<int>(thread_of_grid());
  if (c >= call.channels) return;
  const float mean = call.mean[c], scale = call.gamma[c] * call.rstd[c];
  const float2 both = means[c];
  OneRow::walk(call.rows, call.channels, part_rows, c, [&](int64_t at) {
    const float centered = to_float(call.x[at]) - mean;
    call.dx[at] = from_float<T>(scale * (to_float(dy[at]) - both.x - centered * both.y));
  });
}

template <class T>
void run(const BatchNormBackward<T>& call, Context& context) {
  const int64_t count = int64_t{call.rows} * call.channels;
  const Tiles tiles(1, call.rows, call.channels, 1);
  const size_t pairs = size_t(tiles.parts) * call.channels;
  auto* parts = context.scratch_of<float2>(pairs + call.channels + static_cast<size_t>(count));
  float2* const means = parts + pairs;
  T* const masked = reinterpret_cast<T*>(means + call.channels);
  LAUNCH(context, relu_gradient<T>, blocks_for(count, 256), 256, 0, call.dy, call.y, masked, count);
  LAUNCH(context, sum_parts<T>, tiles.grid(1), tiles.block(), 0, call, masked, tiles.part_rows, parts);
  LAUNCH(context, join_parts<T>, blocks_for(call.channels, 4), 128, 0, call, parts, tiles.parts, means);
  LAUNCH(context, apply<T>, tiles.grid(1), tiles.block(), 0, call, masked, tiles.part_rows, means);
}

}  // namespace stopgrad::ladder::batch_norm_backward::row_parts
