#pragma once
// What: where each row and column of the view reads from, and its scale, stand in tables in shared memory.
// Why:  height + width entries instead of two per pixel: each costs divisions and a sum of all weights.
// Cost: 8 bytes per row and column, and a barrier more.
#include "bench/ladder/augment/4_block_per_view.cuh"

namespace stopgrad::ladder::augment::tap_tables {

using block_per_view::kWidth;

/// two_taps: see version 6; P: elements of a store, see version 7.
template <bool two_taps, int P, class T>
__global__ void __launch_bounds__(kWidth, 1) views(Augment<T> call) {
  await_previous_kernel();
  DYNAMIC_SHARED(AugmentParams, params);
  const AugmentParams& p = *params;
  float* const canvas = reinterpret_cast<float*>(params + 1);
  const int height = call.out_height, width = call.out_width, size = height * width;
  Tap *const row_taps = reinterpret_cast<Tap*>(canvas + size * kColours), *const column_taps =
                                                                              row_taps + height;
  const int64_t view = blockIdx.x;
  if (threadIdx.x == 0) *params = draw(call, view);
  __syncthreads();
  fill_taps({p.height, height}, 255, row_taps);
  fill_taps({p.width, width}, 1, column_taps);
  __syncthreads();
  const Axis rows(p.height, height, row_taps, call.width * kColours),
      columns(p.width, width, column_taps, kColours);
  const bool two = two_taps && rows.count == 2 && columns.count == 2;
  const uint8_t* const box = box_of(call, p, view);
  const int wait = step_of_mean(p);
  for_each_pixel(height, width, [&](int i, int y, int x) {
    float pixel[kColours];
    if (two) resample<2>(box, rows, y, columns, column_of(p, width, x), pixel);
    else resample<0>(box, rows, y, columns, column_of(p, width, x), pixel);
    colour(p, 0, wait, 0, pixel);
    set_pixel(canvas + i * kColours, pixel);
  });
  __syncthreads();
  const float rest = wait < kColourSteps ? (1 - p.contrast) * grey_mean<kColours>(canvas, size) : 0;
  for_each(size, [&](int i) {
    float pixel[kColours];
    get_pixel(canvas + i * kColours, pixel);
    if (wait < kColourSteps) colour(p, wait, kColourSteps, rest, pixel);
    if (P == 1) put_pixel(call, pixel, view * size + i);
    else set_pixel(canvas + i * kColours, pixel);
  });
  if (P == 1) return;
  __syncthreads();
  const AugmentRecipe& r = call.recipe;
  const float scale[kColours] = {1 / r.std[0], 1 / r.std[1], 1 / r.std[2]};
  view::store<P, kColours>(canvas, size, r.mean, scale, call.stored_channels,
                           call.y + view * size * call.stored_channels);
}

template <bool two_taps, int P, class T>
void launch(const Augment<T>& call, Context& context) {
  const size_t taps = (size_t(call.out_height) + size_t(call.out_width)) * sizeof(Tap);
  LAUNCH(context, (views<two_taps, P, T>), static_cast<unsigned>(views_of(call)), kWidth,
         block_per_view::shared_bytes(call, taps, context), call);
}

template <class T>
void run(const Augment<T>& call, Context& context) {
  launch<false, 1>(call, context);
}

}  // namespace stopgrad::ladder::augment::tap_tables
