#pragma once
// One pixel of an augmented view, on both devices: torchvision's formulas for floats in [0, 1], without
// branches so that they vectorise.
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <type_traits>

#include "kernels/host_device.h"

namespace stopgrad::pixel {

template <class P>
using Bits = std::conditional_t<sizeof(P) == 4, int32_t, int64_t>;

/// Floats that are not negative order as their bits do, and whole numbers have vector instructions for this.
template <class P>
STOPGRAD_HOST_DEVICE inline P larger(P x, P y) {
  return std::bit_cast<P>(std::max(std::bit_cast<Bits<P>>(x), std::bit_cast<Bits<P>>(y)));
}
template <class P>
STOPGRAD_HOST_DEVICE inline P smaller(P x, P y) {
  return std::bit_cast<P>(std::min(std::bit_cast<Bits<P>>(x), std::bit_cast<Bits<P>>(y)));
}
/// A negative float is a negative whole number, so this holds for every x.
template <class P>
STOPGRAD_HOST_DEVICE inline P clamp01(P x) {
  return smaller(larger(x, P(0)), P(1));
}

/// ITU-R 601 luma with torchvision's digits, which sum to 0.9999
template <class P>
STOPGRAD_HOST_DEVICE inline P luma(P r, P g, P b) {
  return P(0.2989) * r + P(0.587) * g + P(0.114) * b;
}

/// factor x + rest, where rest = (1 - factor) times what is mixed in: black for brightness (and no sum then),
/// the mean grey for contrast, the own grey for saturation.
template <class P>
STOPGRAD_HOST_DEVICE inline P mixed(P x, P factor, P rest) {
  return clamp01(factor * x + rest);
}

template <class P>
STOPGRAD_HOST_DEVICE inline void saturate(P& r, P& g, P& b, P factor) {
  const P rest = (1 - factor) * luma(r, g, b);
  r = mixed(r, factor, rest);
  g = mixed(g, factor, rest);
  b = mixed(b, factor, rest);
}

/// Hue shifted, saturation and value kept. On a circle of 6 with red at 0, green at 2 and blue at 4, a colour
/// lies within 1 of its largest channel, by `away` / range; a channel whose place is at distance d from the
/// colour has the value high - range clamp01(d - 1). Here distances are kept times the range, so nothing is
/// divided. Without a wrap they reach 4 instead of 3, which the clamp makes equal. Never below 0, as range <=
/// high.
template <class P>
struct HueShift {
  P own, next, previous;  // from a channel to the shifted place of: itself, the next, the one before

  STOPGRAD_HOST_DEVICE explicit HueShift(P turns)
      : own(6 * turns), next(wrap(own + 2)), previous(wrap(own - 2)) {}
  STOPGRAD_HOST_DEVICE static P wrap(P x) { return x > 3 ? x - 6 : (x < -3 ? x + 6 : x); }

  STOPGRAD_HOST_DEVICE void operator()(P& r, P& g, P& b) const {
    const P red = r, green = g, blue = b;
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
    r = shifted(choose(own, next, previous));
    g = shifted(choose(previous, own, next));
    b = shifted(choose(next, previous, own));
  }
};

/// The sum of a grey image keeps its order on every device: blocks of so many pixels, each with so many sums
/// of every so many-th pixel.
inline constexpr int kMeanBlock = 1024, kMeanLanes = 16;

/// Mirrored at the edges without repeating them, as often as it takes.
STOPGRAD_HOST_DEVICE inline int reflect(int i, int n) {
  if (i >= 0 && i < n) return i;
  if (n == 1) return 0;
  const int period = 2 * (n - 1);
  const int place = (i % period + period) % period;
  return place < n ? place : period - place;
}

/// The Gaussian is cut at three sigma, where 0.3 % of it lies beyond.
STOPGRAD_HOST_DEVICE inline int blur_radius(float sigma) { return static_cast<int>(std::ceil(3 * sigma)); }

/// The Gaussian at `place` pixels from its middle, before all are divided by their sum.
template <class P>
STOPGRAD_HOST_DEVICE inline P gaussian(int place, P sigma) {
  const P t = place / sigma;
  return std::exp(-t * t / 2);
}

}  // namespace stopgrad::pixel
