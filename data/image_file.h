#pragma once
// Image files from anywhere to RGB pixels and back. What a file is, its first bytes say, never its name.
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace stopgrad {

struct Image {
  int height = 0, width = 0, channels = 0;
  std::vector<uint8_t> pixels;  // [height, width, channels]
};

/// What a file may ask for before it is refused.
struct DecodeLimits {
  int64_t file_bytes = int64_t{256} << 20;
  int64_t area = 100'000'000;  // pixels
  int side = 16384;            // pixels
  int jpeg_scans = 100;        // of a progressive file: each one costs a pass over the whole image
  int jpeg_warnings = 64;      // corrupt data that libjpeg could mend
  int wanted_side = 0;  // > 0: a JPEG may come scaled by 1/2, 1/4 or 1/8 while its short side is not below
};

enum class ImageKind { jpeg, png, bmp, other };
ImageKind image_kind(std::span<const uint8_t> bytes);

/// JPEG, PNG or BMP to RGB, channels = 3: grey repeated, CMYK converted, alpha dropped, a JPEG turned upright
/// by its EXIF orientation. A file of another kind, too large, truncated or damaged: Error(Exit::data) that
/// starts with `name`.
Image decode_image(std::span<const uint8_t> bytes, const std::string& name, const DecodeLimits& limits = {});
Image read_image(const std::string& path, const DecodeLimits& limits = {});

/// pixels [height, width, channels], 1 to 4 channels, sides up to 16384, area up to 100 million; other sizes
/// throw Error(Exit::failed).
std::vector<uint8_t> encode_png(const uint8_t* pixels, int height, int width, int channels);
/// A file that cannot be written throws Error(Exit::write).
void write_png(const std::string& path, const uint8_t* pixels, int height, int width, int channels);
void write_png(const std::string& path, const Image& image);

/// Triangle filter as wide as the source area of a pixel, so shrinking averages and does not alias.
Image resize_bilinear(const Image& image, int height, int width);
/// The centre square, its short side resized to `size`: [size, size, channels].
Image square_resize(const Image& image, int size);

}  // namespace stopgrad
