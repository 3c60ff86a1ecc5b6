#pragma once
// What: both pairs in one launch: the grid has a second dimension.
// Why:  a launch costs as much time as reading 8 MB, and two half-empty ones become one fuller one.
// Cost: the pointers of all pairs travel with the call.
#include "bench/ladder/cosine_loss_forward/3_block_mean.cuh"

namespace stopgrad::ladder::cosine_loss_forward::both_directions {

template <int P, bool wide, class T>
void run_all(const CosineLossForward<T>& call, Context& context) {
  const dim3 grid(blocks(call.rows, wide), static_cast<unsigned>(call.pairs));
  LAUNCH(context, (warp_per_row::cosines<P, wide, T>), grid, kThreads, 0, call, 0);
  block_mean::mean(call, context);
}

template <class T>
void run(const CosineLossForward<T>& call, Context& context) {
  run_all<1, false>(call, context);
}

}  // namespace stopgrad::ladder::cosine_loss_forward::both_directions
