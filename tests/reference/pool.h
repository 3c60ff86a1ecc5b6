#pragma once
// Pooling, NHWC, in double and pixel by pixel.
#include <cstdint>
#include <vector>

namespace stopgrad::test::reference {

struct MaxPool {
  int images, height, width, channels, kernel, stride, padding;

  int out_height() const { return (height + 2 * padding - kernel) / stride + 1; }
  int out_width() const { return (width + 2 * padding - kernel) / stride + 1; }
  size_t in(int n, int h, int w, int c) const {
    return ((static_cast<size_t>(n) * height + h) * width + w) * channels + c;
  }
  size_t out(int n, int i, int j, int c) const {
    return ((static_cast<size_t>(n) * out_height() + i) * out_width() + j) * channels + c;
  }
  template <class F>
  void for_each_output(F f) const {
    for (int n = 0; n < images; ++n)
      for (int i = 0; i < out_height(); ++i)
        for (int j = 0; j < out_width(); ++j)
          for (int c = 0; c < channels; ++c) f(n, i, j, c);
  }

  struct Result {
    std::vector<double> y;
    std::vector<uint8_t> winner;
  };
  Result forward(const std::vector<double>& x) const {
    const size_t count = static_cast<size_t>(images) * out_height() * out_width() * channels;
    Result result{std::vector<double>(count), std::vector<uint8_t>(count)};
    for_each_output([&](int n, int i, int j, int c) {
      bool found = false;
      for (int r = 0; r < kernel; ++r)
        for (int s = 0; s < kernel; ++s) {
          const int h = i * stride + r - padding, w = j * stride + s - padding;
          if (h < 0 || h >= height || w < 0 || w >= width) continue;
          if (found && x[in(n, h, w, c)] <= result.y[out(n, i, j, c)]) continue;
          found = true;
          result.y[out(n, i, j, c)] = x[in(n, h, w, c)];
          result.winner[out(n, i, j, c)] = static_cast<uint8_t>(r * kernel + s);
        }
    });
    return result;
  }
  std::vector<double> backward(const std::vector<double>& dy, const std::vector<uint8_t>& winner) const {
    std::vector<double> dx(static_cast<size_t>(images) * height * width * channels);
    for_each_output([&](int n, int i, int j, int c) {
      const int position = winner[out(n, i, j, c)];
      const int h = i * stride + position / kernel - padding, w = j * stride + position % kernel - padding;
      dx[in(n, h, w, c)] += dy[out(n, i, j, c)];
    });
    return dx;
  }
};

}  // namespace stopgrad::test::reference
