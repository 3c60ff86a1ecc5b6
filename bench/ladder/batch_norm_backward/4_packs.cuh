#pragma once
// What: a thread moves 16 bytes at a time, of dy, of x and of dx.
// Why:  a fraction of the instructions for the same bytes, and more bytes on their way per thread.
// Cost: registers: what is known of eight channels takes 40 of them before the first row comes.
#include "bench/ladder/batch_norm_backward/3_mask_from_x.cuh"

namespace stopgrad::ladder::batch_norm_backward::packs {

template <class First, class Second, class T>
void two_passes(const BatchNormBackward<T>& call, Context& context) {
  with_packs<T>(call.channels, aligned(call.dy) && aligned(call.x) && aligned(call.dx), [&](auto per_thread) {
    mask_from_x::two_passes<per_thread.value, First, Second>(call, context);
  });
}

template <class T>
void run(const BatchNormBackward<T>& call, Context& context) {
  two_passes<OneRow, OneRow>(call, context);
}

}  // namespace stopgrad::ladder::batch_norm_backward::packs
