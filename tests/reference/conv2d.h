#pragma once
// Convolution and its gradients as their definitions say, one element at a time; sums in long double, since
// double is among what they judge.
#include <cstddef>
#include <vector>

#include "kernels/conv2d.h"

namespace stopgrad::test::reference {

/// x[n, i, j, c] of an image of this size, 0 outside it.
inline double pixel(const std::vector<double>& x, int height, int width, int channels, int n, int i, int j,
                    int c) {
  if (i < 0 || i >= height || j < 0 || j >= width) return 0;
  return x[((static_cast<size_t>(n) * height + i) * width + j) * channels + c];
}

inline double weight(const std::vector<double>& w, const ConvShape& s, int o, int r, int t, int c) {
  return w[((static_cast<size_t>(o) * s.kernel + r) * s.kernel + t) * s.channels + c];
}

inline double conv_forward(const ConvShape& s, const std::vector<double>& x, const std::vector<double>& w,
                           size_t element) {
  const int o = element % s.out_channels, j = element / s.out_channels % s.out_width();
  const int i = element / s.out_channels / s.out_width() % s.out_height();
  const int n = element / s.out_channels / s.out_width() / s.out_height();
  long double sum = 0;
  for (int r = 0; r < s.kernel; ++r) {
    for (int t = 0; t < s.kernel; ++t) {
      for (int c = 0; c < s.channels; ++c) {
        sum +=
            weight(w, s, o, r, t, c) * pixel(x, s.height, s.width, s.channels, n,
                                             i * s.stride + r - s.padding, j * s.stride + t - s.padding, c);
      }
    }
  }
  return static_cast<double>(sum);
}

/// The outputs (i, j) that read input (y, x) by tap (r, t): i * stride + r - padding = y.
inline double conv_backward_input(const ConvShape& s, const std::vector<double>& dy,
                                  const std::vector<double>& w, size_t element) {
  const int c = element % s.channels, x = element / s.channels % s.width;
  const int y = element / s.channels / s.width % s.height, n = element / s.channels / s.width / s.height;
  long double sum = 0;
  for (int r = 0; r < s.kernel; ++r) {
    for (int t = 0; t < s.kernel; ++t) {
      if ((y + s.padding - r) % s.stride != 0 || (x + s.padding - t) % s.stride != 0) continue;
      const int i = (y + s.padding - r) / s.stride, j = (x + s.padding - t) / s.stride;
      for (int o = 0; o < s.out_channels; ++o) {
        sum +=
            weight(w, s, o, r, t, c) * pixel(dy, s.out_height(), s.out_width(), s.out_channels, n, i, j, o);
      }
    }
  }
  return static_cast<double>(sum);
}

inline double conv_backward_weight(const ConvShape& s, const std::vector<double>& x,
                                   const std::vector<double>& dy, size_t element) {
  const int c = element % s.channels, t = element / s.channels % s.kernel;
  const int r = element / s.channels / s.kernel % s.kernel, o = element / s.channels / s.kernel / s.kernel;
  long double sum = 0;
  for (int n = 0; n < s.images; ++n) {
    for (int i = 0; i < s.out_height(); ++i) {
      for (int j = 0; j < s.out_width(); ++j) {
        sum += 1.0L * pixel(dy, s.out_height(), s.out_width(), s.out_channels, n, i, j, o) *
               pixel(x, s.height, s.width, s.channels, n, i * s.stride + r - s.padding,
                     j * s.stride + t - s.padding, c);
      }
    }
  }
  return static_cast<double>(sum);
}

}  // namespace stopgrad::test::reference
