#pragma once
// Augmentation in plain double, one pixel at a time, after torchvision 0.14 (float tensors) and PIL's widened
// triangle where an image shrinks.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "kernels/augment_params.h"

namespace stopgrad::test {

struct Picture {
  int height, width, channels;
  std::vector<double> data;  // [height, width, channels]

  Picture(int h, int w, int c) : height(h), width(w), channels(c), data(static_cast<size_t>(h * w * c)) {}
  double& at(int y, int x, int c) { return data[static_cast<size_t>((y * width + x) * channels + c)]; }
  double at(int y, int x, int c) const { return data[static_cast<size_t>((y * width + x) * channels + c)]; }
};

/// A picture of that size whose values are f(y, x, c)
template <class F>
Picture make_picture(int height, int width, int channels, F f) {
  Picture to(height, width, channels);
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      for (int c = 0; c < channels; ++c) to.at(y, x, c) = f(y, x, c);
    }
  }
  return to;
}
template <class F>
Picture like(const Picture& p, F f) {
  return make_picture(p.height, p.width, p.channels, f);
}

inline double limit(double x) { return std::min(1.0, std::max(0.0, x)); }

/// uint8 [height, width, channels] -> [0, 1]
inline Picture picture(const uint8_t* image, int height, int width, int channels) {
  return make_picture(height, width, channels,
                      [=](int y, int x, int c) { return image[(y * width + x) * channels + c] / 255.0; });
}

/// Triangle of half-width max(1, size / out) around the half-pixel centre of output i, at source k.
inline double triangle(int i, int k, int size, int out) {
  const double scale = static_cast<double>(size) / out, widened = std::max(1.0, scale);
  return std::max(0.0, 1 - std::abs((k + 0.5 - (i + 0.5) * scale) / widened));
}

inline Picture crop_resize(const Picture& from, int top, int left, int height, int width, int out_height,
                           int out_width) {
  return make_picture(out_height, out_width, from.channels, [&](int y, int x, int c) {
    double sum = 0, weights = 0;
    for (int i = 0; i < height; ++i) {
      for (int j = 0; j < width; ++j) {
        const double w = triangle(y, i, height, out_height) * triangle(x, j, width, out_width);
        sum += w * from.at(top + i, left + j, c);
        weights += w;
      }
    }
    return sum / weights;
  });
}

inline double grey_at(const Picture& p, int y, int x) {
  if (p.channels == 1) return p.at(y, x, 0);
  return 0.2989 * p.at(y, x, 0) + 0.587 * p.at(y, x, 1) + 0.114 * p.at(y, x, 2);
}

inline Picture brightness(const Picture& p, double factor) {
  return like(p, [&](int y, int x, int c) { return limit(factor * p.at(y, x, c)); });
}

inline Picture contrast(const Picture& p, double factor) {
  double mean = 0;
  for (int y = 0; y < p.height; ++y) {
    for (int x = 0; x < p.width; ++x) mean += grey_at(p, y, x) / (p.height * p.width);
  }
  return like(p, [&](int y, int x, int c) { return limit(factor * p.at(y, x, c) + (1 - factor) * mean); });
}

inline Picture saturation(const Picture& p, double factor) {
  if (p.channels == 1) return p;
  return like(p, [&](int y, int x, int c) {
    return limit(factor * p.at(y, x, c) + (1 - factor) * grey_at(p, y, x));
  });
}

/// Through hue, saturation and value, sector by sector.
inline double hue_at(double r, double g, double b, double turns, int channel) {
  const double v = std::max({r, g, b}), range = v - std::min({r, g, b});
  if (range == 0) return v;
  const double s = range / v;
  double h = v == r ? (g - b) / range : v == g ? 2 + (b - r) / range : 4 + (r - g) / range;
  h = h / 6 + turns + 2;
  h -= std::floor(h);
  const int sector = static_cast<int>(6 * h) % 6;
  const double f = 6 * h - std::floor(6 * h);
  const double low = v * (1 - s), falling = v * (1 - s * f), rising = v * (1 - s * (1 - f));
  const double table[3][6] = {{v, falling, low, low, rising, v},
                              {rising, v, v, falling, low, low},
                              {low, low, rising, v, v, falling}};
  return limit(table[channel][sector]);
}

inline Picture hue(const Picture& p, double turns) {
  if (p.channels == 1) return p;
  return like(
      p, [&](int y, int x, int c) { return hue_at(p.at(y, x, 0), p.at(y, x, 1), p.at(y, x, 2), turns, c); });
}

inline Picture greyscale(const Picture& p) {
  return like(p, [&](int y, int x, int) { return grey_at(p, y, x); });
}

inline int mirrored(int i, int n) {
  while (n > 1 && (i < 0 || i >= n)) i = i < 0 ? -i : 2 * (n - 1) - i;
  return n > 1 ? i : 0;
}

/// Full two-dimensional Gaussian of (2 radius + 1)^2 weights, mirrored at the edges.
inline Picture gaussian_blur(const Picture& p, double sigma, int radius) {
  return like(p, [&](int y, int x, int c) {
    double sum = 0, weights = 0;
    for (int i = -radius; i <= radius; ++i) {
      for (int j = -radius; j <= radius; ++j) {
        const double w = std::exp(-0.5 * (i * i + j * j) / (sigma * sigma));
        sum += w * p.at(mirrored(y + i, p.height), mirrored(x + j, p.width), c);
        weights += w;
      }
    }
    return sum / weights;
  });
}

inline Picture flip(const Picture& p) {
  return like(p, [&](int y, int x, int c) { return p.at(y, p.width - 1 - x, c); });
}

/// One view in the order of the released code: crop, jitter, grey, blur, flip, normalise.
inline Picture augment(const Picture& image, const AugmentParams& p, const AugmentRecipe& recipe,
                       int out_height, int out_width) {
  Picture view = crop_resize(image, p.top, p.left, p.height, p.width, out_height, out_width);
  for (const Jitter step : p.order) {
    if (!p.jitter) break;
    if (step == Jitter::brightness) view = brightness(view, p.brightness);
    if (step == Jitter::contrast) view = contrast(view, p.contrast);
    if (step == Jitter::saturation) view = saturation(view, p.saturation);
    if (step == Jitter::hue) view = hue(view, p.hue);
  }
  if (p.grey) view = greyscale(view);
  if (p.blur_sigma > 0) {
    view = gaussian_blur(view, p.blur_sigma, static_cast<int>(std::ceil(3 * p.blur_sigma)));
  }
  if (p.flip) view = flip(view);
  return like(view, [&](int y, int x, int c) { return (view.at(y, x, c) - recipe.mean[c]) / recipe.std[c]; });
}

}  // namespace stopgrad::test
