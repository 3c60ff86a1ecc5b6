#pragma once
// What: finished pixels go back to the canvas, and the view is stored 16 bytes at a time.
// Why:  a pixel of three bf16 is 6 bytes: eight stores of 2 bytes become one of 16.
// Cost: a barrier and a round through shared memory; views that are no whole packs take the scalar twin.
#include "bench/ladder/augment/5_tap_tables.cuh"

namespace stopgrad::ladder::augment::packs {

template <class T>
void run(const Augment<T>& call, Context& context) {
  constexpr int P = Pack<T>::size;
  const int64_t elements = int64_t{call.out_height} * call.out_width * call.stored_channels;
  if (elements % P == 0 && aligned(call.y)) tap_tables::launch<true, P>(call, context);
  else tap_tables::launch<true, 1>(call, context);
}

}  // namespace stopgrad::ladder::augment::packs
