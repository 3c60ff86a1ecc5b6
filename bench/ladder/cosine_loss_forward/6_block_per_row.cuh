#pragma once
// What: a block of four warps per row.
// Why:  512 rows twice are 1024 warps, eight per processor of an H200, which has room for 64.
// Cost: a barrier and a second round of shuffles; for short rows most threads have nothing to do.
#include "bench/ladder/cosine_loss_forward/5_packs.cuh"

namespace stopgrad::ladder::cosine_loss_forward::block_per_row {

template <class T>
void run(const CosineLossForward<T>& call, Context& context) {
  packs::run_all<true>(call, context);
}

}  // namespace stopgrad::ladder::cosine_loss_forward::block_per_row
