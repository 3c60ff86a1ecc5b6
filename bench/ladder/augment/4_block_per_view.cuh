#pragma once
// What: a block makes a view on a canvas in shared memory; barriers stand where launches were.
// Why:  one launch, parameters drawn once per block, and memory sees 3 bytes per number instead of 15.
// Cost: a view must fit into shared memory, 12 KiB for 32x32; while one thread draws, its block waits.
#include "bench/ladder/augment.cuh"
#include "kernels/check.h"

namespace stopgrad::ladder::augment::block_per_view {

inline constexpr int kWidth = 256;

template <class T>
__global__ void __launch_bounds__(kWidth, 1) views(Augment<T> call) {
  await_previous_kernel();
  DYNAMIC_SHARED(AugmentParams, params);
  const AugmentParams& p = *params;
  float* const canvas = reinterpret_cast<float*>(params + 1);
  const int size = call.out_height * call.out_width;
  const int64_t view = blockIdx.x;
  if (threadIdx.x == 0) *params = draw(call, view);
  __syncthreads();
  const uint8_t* const box = box_of(call, p, view);
  const int wait = step_of_mean(p);
  for_each_pixel(call.out_height, call.out_width, [&](int i, int y, int x) {
    float pixel[kColours];
    resample_alone(call, p, box, y, column_of(p, call.out_width, x), pixel);
    colour(p, 0, wait, 0, pixel);
    set_pixel(canvas + i * kColours, pixel);
  });
  __syncthreads();
  const float rest = wait < kColourSteps ? (1 - p.contrast) * grey_mean<kColours>(canvas, size) : 0;
  for_each(size, [&](int i) {
    float pixel[kColours];
    get_pixel(canvas + i * kColours, pixel);
    if (wait < kColourSteps) colour(p, wait, kColourSteps, rest, pixel);
    put_pixel(call, pixel, view * size + i);
  });
}

/// Bytes of the parameters, a canvas and `more`; Error where a block has no room for them.
template <class T>
size_t shared_bytes(const Augment<T>& call, size_t more, const Context& context) {
  const size_t canvas = size_t(call.out_height) * size_t(call.out_width) * kColours * sizeof(float);
  const size_t bytes = sizeof(AugmentParams) + canvas + more;
  ENSURE(bytes + 1024 <= context.info().shared,  // 1024: for the sums
         "ladder: a view of {}x{} does not fit into shared memory, take a smaller one", call.out_height,
         call.out_width);
  return bytes;
}

template <class T>
void run(const Augment<T>& call, Context& context) {
  LAUNCH(context, views<T>, static_cast<unsigned>(views_of(call)), kWidth, shared_bytes(call, 0, context),
         call);
}

}  // namespace stopgrad::ladder::augment::block_per_view
