#pragma once
// What: a warp per channel joins the parts: a lane takes every 32nd, then five shuffles add up the lanes.
// Why:  a thread that adds up hundreds of parts waits longer for them than the device takes to read all of x.
// Cost: none worth naming; lanes read a row of parts apart, but parts are few and in the L2 cache.
#include "bench/ladder/batch_norm_forward/3_row_parts.cuh"

namespace stopgrad::ladder::batch_norm_forward::warp_joins {

using row_parts::apply;
using row_parts::save;
using row_parts::Sum;
using row_parts::sum_parts;
using thread_per_channel::relu;

template <Sum of, class T>
__global__ void __launch_bounds__(128) join_parts(BatchNormForward<T> call, const float* parts, int count) {
  await_previous_kernel();
  const int c = static_cast<int>(thread_of_grid()) / 32, lane = static_cast<int>(threadIdx.x) % 32;
  if (c >= call.channels) return;  // whole warps
  float sum = 0;
  for (int p = lane; p < count; p += 32) sum += parts[int64_t{p} * call.channels + c];
  for (int half = 16; half > 0; half /= 2) sum += __shfl_xor_sync(kAllLanes, sum, half);
  if (lane == 0) save<of>(call, c, sum);
}

template <class T>
void statistics(const BatchNormForward<T>& call, const Tiles& tiles, Context& context) {
  auto* parts = context.scratch_of<float>(size_t(tiles.parts) * call.channels);
  const unsigned blocks = blocks_for(call.channels, 4);
  LAUNCH(context, (sum_parts<Sum::x, T>), tiles.grid(1), tiles.block(), 0, call, tiles.part_rows, parts);
  LAUNCH(context, (join_parts<Sum::x, T>), blocks, 128, 0, call, parts, tiles.parts);
  LAUNCH(context, (sum_parts<Sum::squares, T>), tiles.grid(1), tiles.block(), 0, call, tiles.part_rows,
         parts);
  LAUNCH(context, (join_parts<Sum::squares, T>), blocks, 128, 0, call, parts, tiles.parts);
}

template <class T>
void run(const BatchNormForward<T>& call, Context& context) {
  const Tiles tiles(1, call.rows, call.channels, 1);
  statistics(call, tiles, context);
  LAUNCH(context, apply<T>, tiles.grid(1), tiles.block(), 0, call, tiles.part_rows);
  const int64_t count = int64_t{call.rows} * call.channels;
  LAUNCH(context, relu<T>, blocks_for(count, 256), 256, 0, call.y, count);
}

}  // namespace stopgrad::ladder::batch_norm_forward::warp_joins
