#pragma once
// What: the loads of four rows, of dy and of x, are on their way before the first is used.
// Why:  a thread that waits for each row leaves memory idle; eight loads in flight keep it busy.
// Cost: registers, up to the 80 that three blocks on a processor leave each thread.
#include "bench/ladder/batch_norm_backward/4_packs.cuh"

namespace stopgrad::ladder::batch_norm_backward::four_rows {

template <class T>
void run(const BatchNormBackward<T>& call, Context& context) {
  packs::two_passes<FourRows, FourRows>(call, context);
}

}  // namespace stopgrad::ladder::batch_norm_backward::four_rows
