#pragma once
// The steps of the CUDA schedule of Augment on one view, by one block. Each has the arithmetic of the CPU
// schedule in its order; barriers stand in the kernel.
#include "kernels/augment_params.h"
#include "kernels/augment_pixel.h"
#include "kernels/cuda_support.cuh"

namespace stopgrad::cuda::view {

using namespace pixel;

/// Of one output of an axis: its first source, and what makes whole weights add up to 1 (rows: to 1 / 255).
struct Tap {
  int first;
  float scale;
};

/// Where a block keeps its view, and what the steps look up.
struct Canvas {
  Tap *rows, *columns;  // [height], [width]
  float* gauss;         // weights of the blur
  float* pixels;        // [height, width, channels]
  float* between;       // the same, between the two passes of the blur
};

/// f(i) for the block's share of [0, count).
template <class F>
__device__ __forceinline__ void for_each(int count, F f) {
  for (int i = static_cast<int>(threadIdx.x); i < count; i += static_cast<int>(blockDim.x)) f(i);
}

/// The same for the pixels of an image: f(i, y, x), without a division each.
template <class F>
__device__ __forceinline__ void for_each_pixel(int height, int width, F f) {
  const int step = static_cast<int>(blockDim.x), down = step / width, right = step - down * width;
  int i = static_cast<int>(threadIdx.x), y = i / width, x = i - y * width;
  for (; i < height * width; i += step, y += down, x += right) {
    if (x >= width) {
      x -= width;
      ++y;
    }
    f(i, y, x);
  }
}

__device__ __forceinline__ void fill_taps(const ResampleAxis& axis, float divisor, Tap* taps) {
  for_each(axis.out, [&](int x) {
    const int first = axis.first(x), count = axis.count();
    int sum = 0;
    for (int k = first; k < first + count; ++k) sum += axis.weight(x, k);
    taps[x] = {first, 1 / (divisor * static_cast<float>(sum))};
  });
}

/// Every weight adds up the sum for itself, which saves a barrier.
__device__ __forceinline__ void fill_gauss(float sigma, float* gauss) {
  const int radius = blur_radius(sigma);
  for_each(2 * radius + 1, [&](int k) {
    float sum = 0;
    for (int j = -radius; j <= radius; ++j) sum += gaussian(j, sigma);
    gauss[k] = gaussian(k - radius, sigma) / sum;
  });
}

/// An axis of the box and its taps.
struct Axis {
  ResampleAxis axis;
  const Tap* taps;
  int count, stride;  // taps of an output, bytes from one source to the next

  __device__ Axis(int size, int out, const Tap* taps, int stride)
      : axis{size, out}, taps(taps), count(axis.count()), stride(stride) {}
};

/// One source of output `x`: where it lies and its weight.
__device__ __forceinline__ int source(const Axis& along, int x, Tap tap, int k, float& weight) {
  weight = static_cast<float>(along.axis.weight(x, tap.first + k)) * tap.scale;
  return min(tap.first + k, along.axis.size - 1) * along.stride;
}

/// One pixel of the box that starts at `box`: rows are mixed first, as the CPU does. N: taps of both axes
/// where known.
template <int N, int C>
__device__ __forceinline__ void resample(const uint8_t* box, const Axis& rows, int y, const Axis& columns,
                                         int x, float (&pixel)[C]) {
  const Tap row = rows.taps[y], column = columns.taps[x];
  const int count_y = N > 0 ? N : rows.count, count_x = N > 0 ? N : columns.count;
#pragma unroll
  for (int c = 0; c < C; ++c) pixel[c] = 0;
#pragma unroll(N > 0 ? N : 1)
  for (int j = 0; j < count_x; ++j) {
    float of_column, of_row, sum[C] = {};
    const uint8_t* const from = box + source(columns, x, column, j, of_column);
#pragma unroll(N > 0 ? N : 1)
    for (int i = 0; i < count_y; ++i) {
      const uint8_t* const at = from + source(rows, y, row, i, of_row);
#pragma unroll
      for (int c = 0; c < C; ++c) sum[c] += of_row * static_cast<float>(at[c]);
    }
#pragma unroll
    for (int c = 0; c < C; ++c) pixel[c] += sum[c] * of_column;
  }
}

inline constexpr int kColourSteps = 5;  // the four of the jitter in the order drawn, then grey

/// The step that needs the mean of all pixels as they are then; kColourSteps where none does.
__device__ __forceinline__ int step_of_mean(const AugmentParams& p) {
  int at = kColourSteps;
  if (p.jitter && p.contrast != 1)
    for (int s = 0; s < 4; ++s)
      if (p.order[s] == Jitter::contrast) at = s;
  return at;
}

template <int C>
__device__ __forceinline__ void jitter(const AugmentParams& p, Jitter step, float rest, float (&pixel)[C]) {
  if (step == Jitter::brightness && p.brightness != 1)
#pragma unroll
    for (int c = 0; c < C; ++c) pixel[c] = clamp01(p.brightness * pixel[c]);
  if (step == Jitter::contrast && p.contrast != 1)
#pragma unroll
    for (int c = 0; c < C; ++c) pixel[c] = mixed(pixel[c], p.contrast, rest);
  if constexpr (C == 3) {
    if (step == Jitter::saturation && p.saturation != 1) saturate(pixel[0], pixel[1], pixel[2], p.saturation);
    if (step == Jitter::hue && p.hue != 0) HueShift<float>(p.hue)(pixel[0], pixel[1], pixel[2]);
  }
}

/// The colour steps [begin, end); `rest` is (1 - contrast) times the mean of the grey image.
template <int C>
__device__ __forceinline__ void colour(const AugmentParams& p, int begin, int end, float rest,
                                       float (&pixel)[C]) {
  if (p.jitter)
#pragma unroll 1
    for (int s = begin; s < min(end, 4); ++s) jitter(p, p.order[s], rest, pixel);
  if constexpr (C == 3)
    if (p.grey && end == kColourSteps) pixel[0] = pixel[1] = pixel[2] = luma(pixel[0], pixel[1], pixel[2]);
}

template <int C>
__device__ __forceinline__ float grey_of(const float* pixel) {
  if constexpr (C == 3) return luma(pixel[0], pixel[1], pixel[2]);
  else return pixel[0];
}

/// Mean of the grey image: the CPU's sums in float, by one thread each. Their sum in double is exact but for
/// numbers next to nothing, so its order does not show.
template <int C>
__device__ __forceinline__ float grey_mean(const float* pixels, int size) {
  double total[1] = {0};
  for_each(static_cast<int>(divide_up(size, kMeanBlock)) * kMeanLanes, [&](int part) {
    const int block = part / kMeanLanes * kMeanBlock, end = min(size, block + kMeanBlock);
    float sum = 0;
#pragma unroll 8
    for (int i = block + part % kMeanLanes; i < end; i += kMeanLanes) sum += grey_of<C>(pixels + i * C);
    total[0] += sum;
  });
  block_sum(total);
  return static_cast<float>(total[0] / size);
}

/// One of the two passes of the blur: to[i] = sum of the weights times what lies k - radius away.
template <class Place>
__device__ __forceinline__ void blur_pass(const float* gauss, int radius, int count, const float* from,
                                          float* to, Place place) {
  for_each(count, [&](int i) {
    float sum = 0;
    for (int k = 0; k <= 2 * radius; ++k) sum += gauss[k] * from[place(i, k - radius)];
    to[i] = sum;
  });
}

/// Pixels of C channels, normalised -> y, [size, stored], P elements at a time.
template <int P, int C, class T>
__device__ __forceinline__ void store(const float* pixels, int size, const float* mean, const float* scale,
                                      int stored, T* y) {
  static_assert(P * sizeof(T) <= 16);
  for_each(size * stored / P, [&](int i) {
    int at = i * P / stored, c = i * P - at * stored;
    T out[P];
#pragma unroll
    for (int k = 0; k < P; ++k) {
      const int last = min(c, C - 1);
      const float m = last == 0   ? mean[0]
                      : last == 1 ? mean[1]
                                  : mean[2],
                  s = last == 0   ? scale[0]
                      : last == 1 ? scale[1]
                                  : scale[2];
      const float value = (pixels[at * C + last] - m) * s;
      out[k] = from_float<T>(c < C ? value : 0.0f);
      if (++c == stored) {
        c = 0;
        ++at;
      }
    }
    if constexpr (P == 1) {
      y[i] = out[0];
    } else {
      Pack<T> pack;
#pragma unroll
      for (int k = 0; k < P; ++k) pack.v[k] = out[k];
      reinterpret_cast<Pack<T>*>(y)[i] = pack;
    }
  });
}

}  // namespace stopgrad::cuda::view
