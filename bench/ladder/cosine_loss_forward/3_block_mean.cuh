#pragma once
// What: 256 threads add up the cosines, in double, in a tree whose order depends on their number alone.
// Why:  one thread that adds up 1024 numbers takes longer than everything before it.
// Cost: none. Atomic additions would save this launch, but give other bits on every run.
#include "bench/ladder/cosine_loss_forward/2_warp_per_row.cuh"

namespace stopgrad::ladder::cosine_loss_forward::block_mean {

template <class T>
void mean(const CosineLossForward<T>& call, Context& context) {
  LAUNCH(context, (mean_loss<3, -1>), 1, 256, 0, call.saved + 2, int64_t{call.pairs} * call.rows, call.loss);
}

template <class T>
void run(const CosineLossForward<T>& call, Context& context) {
  for (int pair = 0; pair < call.pairs; ++pair)
    LAUNCH(context, (warp_per_row::cosines<1, false, T>), blocks(call.rows, false), kThreads, 0, call, pair);
  mean(call, context);
}

}  // namespace stopgrad::ladder::cosine_loss_forward::block_mean
