#pragma once
// What: a lane takes 16 bytes of p and of z at a time.
// Why:  a row of 2048 bf16 is 8 steps instead of 64, each with 1 KiB on its way per warp.
// Cost: rows must start at multiples of 16 bytes; a scalar twin for the others.
#include "bench/ladder/cosine_loss_forward/4_both_directions.cuh"
#include "kernels/pairs.cuh"

namespace stopgrad::ladder::cosine_loss_forward::packs {

template <bool wide, class T>
void run_all(const CosineLossForward<T>& call, Context& context) {
  with_row_packs<T>(call.channels, aligned_pairs(call.pairs, call.p, call.z), [&](auto per_thread) {
    both_directions::run_all<per_thread.value, wide>(call, context);
  });
}

template <class T>
void run(const CosineLossForward<T>& call, Context& context) {
  run_all<false>(call, context);
}

}  // namespace stopgrad::ladder::cosine_loss_forward::packs
