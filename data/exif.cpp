#include "data/exif.h"

#include <algorithm>

namespace stopgrad {
namespace {

/// A TIFF file in either byte order; what lies behind its end reads as zero.
struct Tiff {
  std::span<const uint8_t> bytes;
  bool big_endian;

  uint32_t number(size_t at, size_t size) const {
    if (at > bytes.size() || size > bytes.size() - at) return 0;
    uint32_t value = 0;
    for (size_t k = 0; k < size; ++k) value = value << 8 | bytes[at + (big_endian ? k : size - 1 - k)];
    return value;
  }
};

}  // namespace

int exif_orientation(std::span<const uint8_t> app1) {
  constexpr uint8_t magic[] = {'E', 'x', 'i', 'f', 0, 0};
  if (app1.size() < sizeof(magic) || !std::equal(std::begin(magic), std::end(magic), app1.begin())) return 0;
  const auto bytes = app1.subspan(sizeof(magic));
  if (bytes.size() < 8 || bytes[0] != bytes[1] || (bytes[0] != 'I' && bytes[0] != 'M')) return 1;
  const Tiff tiff{bytes, bytes[0] == 'M'};
  if (tiff.number(2, 2) != 42) return 1;
  // A directory: how many entries, then 12 bytes each: tag, type, count, value.
  const size_t directory = tiff.number(4, 4);
  const size_t entries = tiff.number(directory, 2);  // at most 65535, however few there is room for
  for (size_t i = 0; i < entries; ++i) {
    const size_t entry = directory + 2 + 12 * i;
    constexpr uint32_t orientation = 274, type_short = 3;
    if (tiff.number(entry, 2) != orientation) continue;
    const uint32_t value = tiff.number(entry + 8, 2);
    if (tiff.number(entry + 2, 2) == type_short && tiff.number(entry + 4, 4) == 1 && value >= 1 && value <= 8)
      return static_cast<int>(value);
  }
  return 1;
}

Image turn_upright(Image image, int orientation) {
  if (orientation <= 1 || orientation > 8) return image;
  // Which side of the picture the first line and the first column stored are (TIFF 6.0, Orientation).
  const bool sideways = orientation >= 5;
  const bool last_line_first = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
  const bool last_column_first = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
  Image upright{image.height, image.width, image.channels, {}};
  if (sideways) std::swap(upright.height, upright.width);
  upright.pixels.resize(image.pixels.size());
  uint8_t* to = upright.pixels.data();
  for (int y = 0; y < upright.height; ++y)
    for (int x = 0; x < upright.width; ++x) {
      const int line = sideways ? x : y, column = sideways ? y : x;
      const size_t from = size_t(last_line_first ? image.height - 1 - line : line) * image.width +
                          (last_column_first ? image.width - 1 - column : column);
      const uint8_t* pixel = image.pixels.data() + from * image.channels;
      to = std::copy_n(pixel, image.channels, to);
    }
  return upright;
}

}  // namespace stopgrad
