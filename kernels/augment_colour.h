#pragma once
// Colours and blur of the CPU schedule of Augment, on planes of values in [0, 1].
#include <algorithm>

#include "kernels/augment_params.h"
#include "kernels/augment_pixel.h"

namespace stopgrad::cpu::pixels {

using namespace pixel;

/// Mean of the grey image of planes [C, size]. The order of the sums depends on the size alone.
template <int C, class P>
P grey_mean(const P* planes, int size) {
  constexpr int lanes = kMeanLanes, block = kMeanBlock;
  const P *r = planes, *g = r + (C - 1) / 2 * size, *b = r + (C - 1) * size;
  const auto grey = [=](int i) { return C == 3 ? luma(r[i], g[i], b[i]) : r[i]; };
  double total = 0;
  for (int begin = 0; begin < size; begin += block) {
    const int end = std::min(size, begin + block);
    P sum[lanes] = {};
    int i = begin;
    for (; i + lanes <= end; i += lanes) {
      for (int lane = 0; lane < lanes; ++lane) sum[lane] += grey(i + lane);
    }
    for (int lane = 0; i + lane < end; ++lane) sum[lane] += grey(i + lane);
    for (const P s : sum) total += s;
  }
  return static_cast<P>(total / size);
}

template <class P>
void brightness(P* x, int n, P factor) {
  for (int i = 0; i < n; ++i) x[i] = clamp01(factor * x[i]);
}

template <class P>
void contrast(P* x, int n, P factor, P mean) {
  const P rest = (1 - factor) * mean;
  for (int i = 0; i < n; ++i) x[i] = mixed(x[i], factor, rest);
}

template <class P>
void saturation(P* planes, int size, P factor) {
  P *r = planes, *g = r + size, *b = g + size;
  for (int i = 0; i < size; ++i) saturate(r[i], g[i], b[i], factor);
}

template <class P>
void hue(P* planes, int size, P turns) {
  const HueShift<P> shift(turns);
  P *r = planes, *g = r + size, *b = g + size;
  for (int i = 0; i < size; ++i) shift(r[i], g[i], b[i]);
}

/// The four operations in their order; those on colours change nothing where there is one channel.
template <int C, class P>
void jitter(const AugmentParams& p, P* planes, int size) {
  for (const Jitter step : p.order) {
    if (step == Jitter::brightness && p.brightness != 1) brightness(planes, C * size, P(p.brightness));
    if (step == Jitter::contrast && p.contrast != 1) {
      contrast(planes, C * size, P(p.contrast), grey_mean<C>(planes, size));
    }
    if constexpr (C == 3) {
      if (step == Jitter::saturation && p.saturation != 1) saturation(planes, size, P(p.saturation));
      if (step == Jitter::hue && p.hue != 0) hue(planes, size, P(p.hue));
    }
  }
}

template <class P>
void greyscale(P* planes, int size) {
  P *r = planes, *g = r + size, *b = g + size;
  for (int i = 0; i < size; ++i) r[i] = g[i] = b[i] = luma(r[i], g[i], b[i]);
}

/// Separable Gaussian of one plane [height, width]. `kernel` has room for 2 radius + 1 elements, `between`
/// for a plane, `row` for width + 2 radius.
template <class P>
void blur(P sigma, int radius, int height, int width, P* kernel, P* between, P* row, P* pixels) {
  const int taps = 2 * radius + 1;
  P sum = 0;
  for (int k = 0; k < taps; ++k) sum += kernel[k] = gaussian(k - radius, sigma);
  for (int k = 0; k < taps; ++k) kernel[k] /= sum;
  std::fill(between, between + height * width, P(0));
  for (int y = 0; y < height; ++y) {
    P* to = between + y * width;
    for (int k = 0; k < taps; ++k) {
      const P* from = pixels + reflect(y + k - radius, height) * width;
      for (int x = 0; x < width; ++x) to[x] += kernel[k] * from[x];
    }
  }
  std::fill(pixels, pixels + height * width, P(0));
  for (int y = 0; y < height; ++y) {
    P* to = pixels + y * width;
    for (int i = 0; i < width + 2 * radius; ++i) row[i] = between[y * width + reflect(i - radius, width)];
    for (int k = 0; k < taps; ++k) {
      for (int x = 0; x < width; ++x) to[x] += kernel[k] * row[x + k];
    }
  }
}

}  // namespace stopgrad::cpu::pixels
