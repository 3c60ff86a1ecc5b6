#include <algorithm>
#include <cmath>

#include "data/image_file.h"
#include "kernels/check.h"

namespace stopgrad {
namespace {

/// For each of n target pixels the source pixels it averages: weights[i * taps + k] of source first[i] + k.
struct Filter {
  int taps = 0;
  std::vector<int> first;      // [n]
  std::vector<float> weights;  // [n, taps], each row sums to one; unused taps are zero

  int source_begin() const { return first.front(); }
  int source_end(int size) const { return std::min(first.back() + taps, size); }
};

/// n target pixels spread over [begin, begin + length) of a line of `size` source pixels.
Filter triangle_filter(int size, double begin, double length, int n) {
  const double scale = length / n;
  const double reach = std::max(scale, 1.0);  // half the triangle's base: never narrower than bilinear
  Filter filter;
  filter.taps = std::min(size, static_cast<int>(std::ceil(2 * reach)) + 1);
  filter.first.resize(n);
  filter.weights.resize(size_t(n) * filter.taps);
  for (int i = 0; i < n; ++i) {
    const double centre = begin + (i + 0.5) * scale;
    const int first = std::clamp(static_cast<int>(std::floor(centre - reach)), 0, size - filter.taps);
    float* weights = filter.weights.data() + size_t(i) * filter.taps;
    double sum = 0;
    const auto weight = [&](int k) { return std::max(0.0, 1 - std::abs(first + k + 0.5 - centre) / reach); };
    for (int k = 0; k < filter.taps; ++k) sum += weight(k);
    for (int k = 0; k < filter.taps; ++k) weights[k] = static_cast<float>(weight(k) / sum);
    filter.first[i] = first;
  }
  return filter;
}

struct Box {
  double top, left, height, width;  // source pixels
};

Image resize(const Image& image, const Box& box, int height, int width) {
  ENSURE(image.height >= 1 && image.width >= 1 && height >= 1 && width >= 1, "resize: {} x {} to {} x {}",
         image.width, image.height, width, height);
  const int channels = image.channels;
  const Filter across = triangle_filter(image.width, box.left, box.width, width);
  const Filter down = triangle_filter(image.height, box.top, box.height, height);

  // Down first, since that runs along the lines of the source; then across, on one line.
  const int left = across.source_begin(), columns = across.source_end(image.width) - left;
  const size_t samples = size_t(columns) * channels;
  std::vector<float> line(samples);  // [columns, channels]
  Image result{height, width, channels, {}};
  result.pixels.reserve(size_t(height) * width * channels);
  for (int y = 0; y < height; ++y) {
    std::fill(line.begin(), line.end(), 0.0f);
    for (int k = 0; k < down.taps; ++k) {
      const float weight = down.weights[size_t(y) * down.taps + k];
      const uint8_t* source =
          image.pixels.data() + (size_t(down.first[y] + k) * image.width + left) * channels;
      for (size_t i = 0; i < samples; ++i) line[i] += weight * source[i];
    }
    for (int x = 0; x < width; ++x)
      for (int c = 0; c < channels; ++c) {
        const float* source = line.data() + size_t(across.first[x] - left) * channels + c;
        const float* weights = across.weights.data() + size_t(x) * across.taps;
        float sum = 0.5f;  // rounds
        for (int k = 0; k < across.taps; ++k) sum += weights[k] * source[size_t(k) * channels];
        result.pixels.push_back(static_cast<uint8_t>(std::clamp(sum, 0.0f, 255.0f)));
      }
  }
  return result;
}

}  // namespace

Image resize_bilinear(const Image& image, int height, int width) {
  return resize(image, {0, 0, double(image.height), double(image.width)}, height, width);
}

// Resizes only what the crop keeps: a strip of 16384 x 1 would else become gigabytes on the way.
Image square_resize(const Image& image, int size) {
  const double side = std::min(image.height, image.width);
  return resize(image, {(image.height - side) / 2, (image.width - side) / 2, side, side}, size, size);
}

}  // namespace stopgrad
