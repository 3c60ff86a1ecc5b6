#pragma once
// Data sets of small images for the tests of Augment.
#include <cstdint>
#include <numeric>
#include <vector>

#include "data/augmenter.h"
#include "kernels/philox.h"
#include "tests/reference/augment.h"

namespace stopgrad::test {

struct Images {
  int count, height, width, channels;
  std::vector<uint8_t> bytes;

  /// Noise, with every seventh image black, white or grey in places, where hue has no meaning
  Images(int n, int h, int w, int c) : count(n), height(h), width(w), channels(c) {
    const size_t size = static_cast<size_t>(h * w * c);
    bytes.resize(size * static_cast<size_t>(n));
    for (size_t i = 0; i < bytes.size(); ++i) {
      const Philox p = philox(5, Purpose::test, static_cast<uint32_t>(i), 2, 0, 0);
      bytes[i] = static_cast<uint8_t>(p.v[0] >> 24);
      if (i / size % 7 == 6 && c == 3 && i % 3 > 0 && i / 3 % 2 == 0) bytes[i] = bytes[i - 1];
      if (i / size % 7 == 5) bytes[i] = p.v[1] % 2 == 0 ? 0 : 255;
    }
  }
  ImageBytes all() const { return {bytes.data(), height, width, channels}; }
  Picture at(int64_t i) const {
    return picture(bytes.data() + i * height * width * channels, height, width, channels);
  }
};

inline std::vector<int64_t> first(int count) {
  std::vector<int64_t> index(static_cast<size_t>(count));
  std::iota(index.begin(), index.end(), 0);
  return index;
}

}  // namespace stopgrad::test
