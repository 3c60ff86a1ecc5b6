#pragma once
// What: the second pass walks from the last row of a part to its first.
// Why:  the ends of dy and x are still in the L2 cache: twice as much to win as in forward.
// Cost: none.
#include "bench/ladder/batch_norm_backward/4_packs.cuh"

namespace stopgrad::ladder::batch_norm_backward::backwards {

template <class T>
void run(const BatchNormBackward<T>& call, Context& context) {
  packs::two_passes<FourRows, FourRowsBackwards>(call, context);
}

}  // namespace stopgrad::ladder::batch_norm_backward::backwards
