#pragma once
// What: a lane takes 16 bytes of p, z and dp at a time.
// Why:  an eighth of the instructions, and eight times the bytes on their way per warp.
// Cost: rows must start at multiples of 16 bytes; a scalar twin for the others.
#include "bench/ladder/cosine_loss_backward/4_wall.cuh"
#include "kernels/pairs.cuh"

namespace stopgrad::ladder::cosine_loss_backward::packs {

template <class T, class F>
void choose(const CosineLossBackward<T>& call, F f) {
  const bool whole = aligned_pairs(call.pairs, call.p, call.z) && aligned_pairs(call.pairs, call.dp, call.dz);
  with_row_packs<T>(call.channels, whole, f);
}

template <class T>
void run(const CosineLossBackward<T>& call, Context& context) {
  choose(call, [&](auto per_thread) {
    for (int pair = 0; pair < call.pairs; ++pair)
      LAUNCH(context, (wall::gradients<per_thread.value, T>), blocks(call.rows, false), kThreads, 0, call,
             pair);
  });
}

}  // namespace stopgrad::ladder::cosine_loss_backward::packs
