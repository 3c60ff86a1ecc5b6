#pragma once
// From draws to augmentation parameters, with the same bits on the host and on a device: only + - x / sqrt
// and fma, which round alike everywhere. A product never feeds a sum but through fmaf, so no compiler can
// contract.
#include <cmath>
#include <cstdint>

#include "kernels/augment.h"
#include "kernels/philox.h"

namespace stopgrad {

enum class Jitter : uint8_t { brightness, contrast, saturation, hue };

/// What happens to one view of one image. The defaults change no pixel.
struct AugmentParams {
  int top = 0, left = 0, height, width;  // crop box, pixels of the source
  bool flip = false, jitter = false, grey = false;
  Jitter order[4] = {Jitter::brightness, Jitter::contrast, Jitter::saturation, Jitter::hue};
  float brightness = 1, contrast = 1, saturation = 1;  // factors
  float hue = 0;                                       // shift, in turns of the colour circle
  float blur_sigma = 0;                                // pixels of the output; 0: no blur
};

/// Relative error below 3e-7 for normal x > 0.
STOPGRAD_HOST_DEVICE inline float portable_log(float x) {
  int exponent = 0;
  for (; x > 1.41421356f; x *= 0.5f) ++exponent;
  for (; x < 0.70710678f; x *= 2.0f) --exponent;
  const float s = (x - 1.0f) / (x + 1.0f);  // log x = 2 atanh s, |s| < 0.172
  const float z = s * s;
  float p = 1.0f / 9;
  p = fmaf(p, z, 1.0f / 7);
  p = fmaf(p, z, 1.0f / 5);
  p = fmaf(p, z, 1.0f / 3);
  p = fmaf(p, z, 1.0f);
  return fmaf(static_cast<float>(exponent), 0.693147181f, 2.0f * s * p);
}

/// Relative error below 3e-7 for |x| <= 80.
STOPGRAD_HOST_DEVICE inline float portable_exp(float x) {
  int n = static_cast<int>(fmaf(x, 1.44269504f, x < 0 ? -0.5f : 0.5f));
  float r = fmaf(static_cast<float>(-n), 0.693145752f, x);  // ln 2 = 0.693145752 (16 bits) + 1.42860677e-6
  r = fmaf(static_cast<float>(-n), 1.42860677e-6f, r);
  float y = 1.0f / 5040;
  y = fmaf(y, r, 1.0f / 720);
  y = fmaf(y, r, 1.0f / 120);
  y = fmaf(y, r, 1.0f / 24);
  y = fmaf(y, r, 1.0f / 6);
  y = fmaf(y, r, 0.5f);
  y = fmaf(y, r, 1.0f);
  y = fmaf(y, r, 1.0f);
  for (; n > 0; --n) y *= 2.0f;
  for (; n < 0; ++n) y *= 0.5f;
  return y;
}

/// The draws of one view, four to a block:
/// 0: flip, jitter, grey, blur; 1: brightness, contrast, saturation, hue; 2: order, sigma, -, -;
/// 3 + t: try t of the crop: area, aspect, top, left.
struct AugmentDraws {
  uint64_t seed;
  uint32_t epoch, image, view;

  STOPGRAD_HOST_DEVICE Philox block(uint32_t n) const {
    return philox(seed, Purpose::augment, epoch, image, view, n);
  }
};

/// Uniform in [0, n), from 32 random bits
STOPGRAD_HOST_DEVICE inline int below(uint32_t bits, int n) {
  return static_cast<int>((uint64_t{bits} * static_cast<uint32_t>(n)) >> 32);
}

/// Uniform in [low, high); rounding may reach `high`, but nothing beyond.
STOPGRAD_HOST_DEVICE inline float between(uint32_t bits, float low, float high) {
  const float x = fmaf(uniform01(bits), high - low, low);
  return x < high ? x : high;
}

STOPGRAD_HOST_DEVICE inline int nearest(float x) { return static_cast<int>(x + 0.5f); }

/// Crop box as torchvision's RandomResizedCrop: up to 10 tries, then the largest central box within the
/// aspects.
STOPGRAD_HOST_DEVICE inline void draw_crop(const AugmentRecipe& r, const AugmentDraws& draws, int height,
                                           int width, AugmentParams& p) {
  const float all = static_cast<float>(height) * static_cast<float>(width);
  const float log_min = portable_log(r.ratio_min), log_max = portable_log(r.ratio_max);
  for (uint32_t t = 0; t < 10; ++t) {
    const Philox d = draws.block(3 + t);
    const float area = all * between(d.v[0], r.scale_min, r.scale_max);
    const float aspect = portable_exp(between(d.v[1], log_min, log_max));
    const float w = sqrtf(area * aspect), h = sqrtf(area / aspect);
    p.width = nearest(w);
    p.height = nearest(h);
    if (p.width < 1 || p.width > width || p.height < 1 || p.height > height) continue;
    p.top = below(d.v[2], height - p.height + 1);
    p.left = below(d.v[3], width - p.width + 1);
    return;
  }
  const float aspect = static_cast<float>(width) / static_cast<float>(height);
  p.width = width;
  p.height = height;
  if (aspect < r.ratio_min) p.height = nearest(static_cast<float>(width) / r.ratio_min);
  if (aspect > r.ratio_max) p.width = static_cast<int>(fmaf(static_cast<float>(height), r.ratio_max, 0.5f));
  p.height = p.height < 1 ? 1 : p.height;
  p.width = p.width < 1 ? 1 : p.width;
  p.top = (height - p.height) / 2;
  p.left = (width - p.width) / 2;
}

/// Any of the 24 orders of the four jitter operations, from one number in [0, 24). They are the bytes of a
/// word, where a device swaps two without memory.
STOPGRAD_HOST_DEVICE inline void shuffle_jitter(int pick, Jitter* order) {
  uint32_t bytes = 0x03020100;
  for (int last = 3; last > 0; --last) {
    const int other = pick % (last + 1);
    pick /= last + 1;
    const uint32_t differ = (bytes >> 8 * last ^ bytes >> 8 * other) & 0xff;
    bytes ^= differ << 8 * last ^ differ << 8 * other;
  }
  for (int i = 0; i < 4; ++i) order[i] = static_cast<Jitter>(bytes >> 8 * i & 0xff);
}

/// Factor of brightness, contrast or saturation: uniform in [max(0, 1 - strength), 1 + strength)
STOPGRAD_HOST_DEVICE inline float draw_factor(uint32_t bits, float strength) {
  return between(bits, strength < 1.0f ? 1.0f - strength : 0.0f, 1.0f + strength);
}

/// The parameters of one view of one image of the given size.
STOPGRAD_HOST_DEVICE inline AugmentParams draw_augment_params(const AugmentRecipe& r,
                                                              const AugmentDraws& draws, int height,
                                                              int width) {
  AugmentParams p;
  const Philox chance = draws.block(0);
  p.flip = uniform01(chance.v[0]) < r.flip;
  p.jitter = uniform01(chance.v[1]) < r.jitter;
  p.grey = uniform01(chance.v[2]) < r.grey;
  const Philox other = draws.block(2);
  if (uniform01(chance.v[3]) < r.blur) {
    p.blur_sigma = between(other.v[1], r.blur_sigma_min, r.blur_sigma_max);
  }
  if (p.jitter) {
    const Philox strength = draws.block(1);
    p.brightness = draw_factor(strength.v[0], r.brightness);
    p.contrast = draw_factor(strength.v[1], r.contrast);
    p.saturation = draw_factor(strength.v[2], r.saturation);
    p.hue = between(strength.v[3], -r.hue, r.hue);
    shuffle_jitter(below(other.v[0], 24), p.order);
  }
  draw_crop(r, draws, height, width, p);
  return p;
}

/// Resampling of an axis of `size` pixels to `out`: bilinear with half-pixel centres, the triangle widened by
/// size / out when shrinking (as PIL and torchvision's antialias; the same as plain bilinear when enlarging).
/// Whole numbers, so that both devices choose the same taps: output x takes the sources k of first() +
/// [0, count) that lie on the axis, each with weight(k) over the sum of these weights.
struct ResampleAxis {
  int size, out;

  /// Half-width of the triangle, in units of 1 / (2 out) source pixels
  STOPGRAD_HOST_DEVICE int reach() const { return 2 * (size > out ? size : out); }
  STOPGRAD_HOST_DEVICE int count() const { return (reach() + out - 1) / out; }
  STOPGRAD_HOST_DEVICE int first(int x) const {
    const int edge = (2 * x + 1) * size - reach() + out;
    return edge > 0 ? edge / (2 * out) : 0;
  }
  STOPGRAD_HOST_DEVICE int weight(int x, int k) const {
    const int distance = (2 * k + 1) * out - (2 * x + 1) * size;
    const int weight = reach() - (distance < 0 ? -distance : distance);
    return k < size && weight > 0 ? weight : 0;
  }
};

}  // namespace stopgrad
