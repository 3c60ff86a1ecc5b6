#pragma once
// What: where both axes have two taps, as when a view is not smaller than its crop, the loops are unrolled.
// Why:  the twelve bytes of a pixel are asked for together instead of one after the other.
// Cost: the resampling twice in one kernel, and a branch that a whole block takes alike.
#include "bench/ladder/augment/5_tap_tables.cuh"

namespace stopgrad::ladder::augment::two_taps {

template <class T>
void run(const Augment<T>& call, Context& context) {
  tap_tables::launch<true, 1>(call, context);
}

}  // namespace stopgrad::ladder::augment::two_taps
