#pragma once
// What the versions of the augmentation ladder share. Their problem: coloured images and no blur, as for
// CIFAR. The steps on one pixel are those of kernels/augment_view.cuh; versions differ in where pixels,
// parameters and taps live.
#include "bench/ladder/ladder.h"
#include "kernels/augment_call.h"
#include "kernels/augment_view.cuh"

namespace stopgrad::ladder {

using namespace cuda;
using namespace cuda::view;

inline constexpr int kColours = 3;

template <class T>
int64_t views_of(const Augment<T>& call) {
  return int64_t{call.views} * call.count;
}

/// The parameters of view i of the launch.
template <class T>
__device__ __forceinline__ AugmentParams draw(const Augment<T>& call, int64_t i) {
  return augment_params_of(call, static_cast<int>(i / call.count), call.index[i % call.count]);
}

/// First pixel of the crop of view i.
template <class T>
__device__ __forceinline__ const uint8_t* box_of(const Augment<T>& call, const AugmentParams& p, int64_t i) {
  return source_of(call, static_cast<int>(i % call.count)) +
         (int64_t{p.top} * call.width + p.left) * kColours;
}

/// The column that output x shows, which a flip mirrors.
__device__ __forceinline__ int column_of(const AugmentParams& p, int width, int x) {
  return p.flip ? width - 1 - x : x;
}

/// First source of output x of an axis, and what makes its weights add up to 1 (rows: to 1 / 255).
__device__ __forceinline__ Tap tap_of(const ResampleAxis& axis, int x, float divisor) {
  int sum = 0;
  for (int k = 0; k < axis.count(); ++k) sum += axis.weight(x, axis.first(x) + k);
  return {axis.first(x), 1 / (divisor * static_cast<float>(sum))};
}

/// A pixel of the crop, with all weights worked out by the thread itself.
template <class T>
__device__ __forceinline__ void resample_alone(const Augment<T>& call, const AugmentParams& p,
                                               const uint8_t* box, int y, int x, float (&pixel)[kColours]) {
  const Tap row = tap_of({p.height, call.out_height}, y, 255),
            column = tap_of({p.width, call.out_width}, x, 1);
  Axis rows(p.height, call.out_height, &row, call.width * kColours),
      columns(p.width, call.out_width, &column, kColours);
  for (int c = 0; c < kColours; ++c) pixel[c] = 0;
  for (int j = 0; j < columns.count; ++j) {
    float of_column, of_row, sum[kColours] = {};
    const uint8_t* const from = box + source(columns, x, column, j, of_column);
    for (int i = 0; i < rows.count; ++i) {
      const uint8_t* const at = from + source(rows, y, row, i, of_row);
      for (int c = 0; c < kColours; ++c) sum[c] += of_row * static_cast<float>(at[c]);
    }
    for (int c = 0; c < kColours; ++c) pixel[c] += sum[c] * of_column;
  }
}

/// A pixel between memory and registers.
__device__ __forceinline__ void get_pixel(const float* at, float (&pixel)[kColours]) {
#pragma unroll
  for (int c = 0; c < kColours; ++c) pixel[c] = at[c];
}
__device__ __forceinline__ void set_pixel(float* at, const float (&pixel)[kColours]) {
#pragma unroll
  for (int c = 0; c < kColours; ++c) at[c] = pixel[c];
}

/// One normalised pixel of y; channels past the colours are zero.
template <class T>
__device__ __forceinline__ void put_pixel(const Augment<T>& call, const float (&pixel)[kColours], int64_t i) {
  for (int c = 0; c < call.stored_channels; ++c)
    call.y[i * call.stored_channels + c] =
        from_float<T>(c < kColours ? (pixel[c] - call.recipe.mean[c]) * (1 / call.recipe.std[c]) : 0.0f);
}

}  // namespace stopgrad::ladder
