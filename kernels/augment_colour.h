#pragma once
// Colours and blur of the CPU schedule of Augment: torchvision's formulas for floats, on planes of values in
// [0, 1], without branches so that they vectorise.
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <type_traits>

#include "kernels/augment_params.h"

namespace stopgrad::cpu::pixels {

template <class P>
using Bits = std::conditional_t<sizeof(P) == 4, int32_t, int64_t>;

/// Floats that are not negative order as their bits do, and whole numbers have vector instructions for this.
template <class P>
P larger(P x, P y) {
  return std::bit_cast<P>(std::max(std::bit_cast<Bits<P>>(x), std::bit_cast<Bits<P>>(y)));
}
template <class P>
P smaller(P x, P y) {
  return std::bit_cast<P>(std::min(std::bit_cast<Bits<P>>(x), std::bit_cast<Bits<P>>(y)));
}
/// A negative float is a negative whole number, so this holds for every x.
template <class P>
P clamp01(P x) {
  return smaller(larger(x, P(0)), P(1));
}

/// ITU-R 601 luma with torchvision's digits, which sum to 0.9999
template <class P>
P luma(P r, P g, P b) {
  return P(0.2989) * r + P(0.587) * g + P(0.114) * b;
}

/// Mean of the grey image of planes [C, size]. The order of the sums depends on the size alone.
template <int C, class P>
P grey_mean(const P* planes, int size) {
  constexpr int lanes = 16, block = 1024;
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
  for (int i = 0; i < n; ++i) x[i] = clamp01(factor * x[i] + rest);
}

template <class P>
void saturation(P* planes, int size, P factor) {
  P *r = planes, *g = r + size, *b = g + size;
  for (int i = 0; i < size; ++i) {
    const P rest = (1 - factor) * luma(r[i], g[i], b[i]);
    r[i] = clamp01(factor * r[i] + rest);
    g[i] = clamp01(factor * g[i] + rest);
    b[i] = clamp01(factor * b[i] + rest);
  }
}

/// Hue shifted, saturation and value kept. On a circle of 6 with red at 0, green at 2 and blue at 4, a colour
/// lies within 1 of its largest channel, by `away` / range; a channel whose place is at distance d from the
/// colour has the value high - range clamp01(d - 1). Here distances are kept times the range, so nothing is
/// divided. Without a wrap they reach 4 instead of 3, which the clamp makes equal. Never below 0, as range <=
/// high.
template <class P>
void hue(P* planes, int size, P turns) {
  const auto wrap = [](P x) { return x > 3 ? x - 6 : (x < -3 ? x + 6 : x); };
  // From a channel to the shifted place of: itself, the next, the one before.
  const P own = 6 * turns, next = wrap(own + 2), previous = wrap(own - 2);
  P *r = planes, *g = r + size, *b = g + size;
  for (int i = 0; i < size; ++i) {
    const P red = r[i], green = g[i], blue = b[i];
    const P high = larger(red, larger(green, blue)), range = high - smaller(red, smaller(green, blue));
    const Bits<P> is_red = -Bits<P>{high == red}, is_green = -Bits<P>{high == green} & ~is_red;
    const auto choose = [=](P if_red, P if_green, P if_blue) {
      return std::bit_cast<P>((std::bit_cast<Bits<P>>(if_red) & is_red) |
                              (std::bit_cast<Bits<P>>(if_green) & is_green) |
                              (std::bit_cast<Bits<P>>(if_blue) & ~(is_red | is_green)));
    };
    const P away = choose(green - blue, blue - red, red - green);
    const auto shifted = [=](P from) {
      const P distance = std::abs(std::fma(from, range, away));
      return high - smaller(larger(distance - range, P(0)), range);
    };
    r[i] = shifted(choose(own, next, previous));
    g[i] = shifted(choose(previous, own, next));
    b[i] = shifted(choose(next, previous, own));
  }
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

/// Mirrored at the edges without repeating them, as often as it takes.
inline int reflect(int i, int n) {
  if (n == 1) return 0;
  const int period = 2 * (n - 1);
  const int place = (i % period + period) % period;
  return place < n ? place : period - place;
}

/// The Gaussian is cut at three sigma, where 0.3 % of it lies beyond.
inline int blur_radius(float sigma) { return static_cast<int>(std::ceil(3 * sigma)); }

/// Separable Gaussian of one plane [height, width]. `kernel` has room for 2 radius + 1 elements, `between`
/// for a plane, `row` for width + 2 radius.
template <class P>
void blur(P sigma, int radius, int height, int width, P* kernel, P* between, P* row, P* pixels) {
  const int taps = 2 * radius + 1;
  P sum = 0;
  for (int k = 0; k < taps; ++k) {
    const P t = (k - radius) / sigma;
    sum += kernel[k] = std::exp(-t * t / 2);
  }
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
