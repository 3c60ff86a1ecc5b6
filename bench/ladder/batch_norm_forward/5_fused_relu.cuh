#pragma once
// What: ReLU where y is written. A residual would be added in the same place.
// Why:  a launch that reads and writes y to compare it with zero costs a third of all traffic.
// Cost: none; the value is in a register already.
#include "bench/ladder/batch_norm_forward/4_warp_joins.cuh"

namespace stopgrad::ladder::batch_norm_forward::fused_relu {

template <class T>
__global__ void __launch_bounds__(kThreads) apply(BatchNormForward<T> call, int part_rows) {
  await_previous_kernel();
  const int c = static_cast<int>(thread_of_grid());
  if (c >= call.channels) return;
  const float mean = call.mean[c], scale = call.gamma[c] * call.rstd[c], beta = call.beta[c];
  OneRow::walk(call.rows, call.channels, part_rows, c, [&](int64_t at) {
    const float value = affine(to_float(call.x[at]) - mean, scale, beta);
    call.y[at] = from_float<T>(gated(value, value));
  });
}

template <class T>
void run(const BatchNormForward<T>& call, Context& context) {
  const Tiles tiles(1, call.rows, call.channels, 1);
  warp_joins::statistics(call, tiles, context);
  LAUNCH(context, apply<T>, tiles.grid(1), tiles.block(), 0, call, tiles.part_rows);
}

}  // namespace stopgrad::ladder::batch_norm_forward::fused_relu
