#pragma once
// What: the second pass walks from the last row of a part to its first.
// Why:  what was read last is still in the L2 cache; forwards, it is gone just before its turn.
// Cost: none. It pays where x is larger than the cache, but not many times.
#include "bench/ladder/batch_norm_forward/7_packs.cuh"

namespace stopgrad::ladder::batch_norm_forward::backwards {

template <class T>
void run(const BatchNormForward<T>& call, Context& context) {
  packs::two_passes<FourRows, FourRowsBackwards>(call, context);
}

}  // namespace stopgrad::ladder::batch_norm_forward::backwards
