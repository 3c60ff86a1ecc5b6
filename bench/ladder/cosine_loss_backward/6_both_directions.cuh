#pragma once
// What: both pairs in one launch: the grid has a second dimension.
// Why:  a launch costs as much as moving 8 MB, and two half-empty ones become one fuller one.
// Cost: where two pairs write one gradient, the call must fall back to one after the other; here none do.
#include "bench/ladder/cosine_loss_backward/5_packs.cuh"

namespace stopgrad::ladder::cosine_loss_backward::both_directions {

template <class T>
void run(const CosineLossBackward<T>& call, Context& context) {
  packs::choose(call, [&](auto per_thread) {
    const dim3 grid(blocks(call.rows, false), static_cast<unsigned>(call.pairs));
    LAUNCH(context, (wall::gradients<per_thread.value, T>), grid, kThreads, 0, call, 0);
  });
}

}  // namespace stopgrad::ladder::cosine_loss_backward::both_directions
