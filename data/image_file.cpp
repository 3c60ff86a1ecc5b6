#include "data/image_file.h"

#include <algorithm>
#include <string_view>

#include "data/free_memory.h"
#include "data/image_codecs.h"
#include "engine/file.h"
#include "kernels/check.h"

namespace stopgrad {
namespace {

bool starts(std::span<const uint8_t> bytes, std::string_view magic, size_t at = 0) {
  if (bytes.size() < at + magic.size()) return false;
  return std::equal(magic.begin(), magic.end(), bytes.begin() + at,
                    [](char a, uint8_t b) { return static_cast<uint8_t>(a) == b; });
}

/// Kinds people have and this program does not read, to say so by name.
std::string foreign_kind(std::span<const uint8_t> bytes) {
  if (bytes.empty()) return "an empty file";
  if (starts(bytes, "GIF8")) return "a GIF image";
  if (starts(bytes, "RIFF") && starts(bytes, "WEBP", 8)) return "a WebP image";
  if (starts(bytes, {"II*\0", 4}) || starts(bytes, {"MM\0*", 4})) return "a TIFF image";
  if (starts(bytes, "ftyp", 4)) return "a HEIC, AVIF or video file";
  return "not an image";
}

}  // namespace

ImageKind image_kind(std::span<const uint8_t> bytes) {
  if (starts(bytes, "\xff\xd8\xff")) return ImageKind::jpeg;
  if (starts(bytes, "\x89PNG\r\n\x1a\n")) return ImageKind::png;
  if (starts(bytes, "BM")) return ImageKind::bmp;
  return ImageKind::other;
}

void check_image_size(const std::string& name, int64_t height, int64_t width, const DecodeLimits& limits) {
  if (height < 1 || width < 1) fail(Exit::data, "{}: says it is {} x {} pixels", name, width, height);
  if (height > limits.side || width > limits.side)
    fail(Exit::data, "{}: {} x {} pixels, a side may have {}", name, width, height, limits.side);
  if (height * width > limits.area)
    fail(Exit::data, "{}: {} x {} pixels, the limit is {} in all", name, width, height, limits.area);
}

std::unique_lock<std::mutex> reserve_memory(const std::string& name, int64_t height, int64_t width,
                                            int64_t bytes) {
  static std::mutex one_at_a_time;
  if (bytes < int64_t{256} << 20) return {};
  std::unique_lock held(one_at_a_time);
  require_memory(bytes, fmt::format("{}: {} x {} pixels", name, width, height),
                 "shrink the image or remove it");
  return held;
}

Image decode_image(std::span<const uint8_t> bytes, const std::string& name, const DecodeLimits& limits) {
  if (static_cast<int64_t>(bytes.size()) > limits.file_bytes)
    fail(Exit::data, "{}: {} bytes, the limit is {}", name, bytes.size(), limits.file_bytes);
  switch (image_kind(bytes)) {
    case ImageKind::jpeg:
      return decode_jpeg(bytes, name, limits);
    case ImageKind::png:
      return decode_png(bytes, name, limits);
    case ImageKind::bmp:
      return decode_bmp(bytes, name, limits);
    case ImageKind::other:
      break;
  }
  fail(Exit::data, "{}: {}, JPEG, PNG and BMP are read", name, foreign_kind(bytes));
}

Image read_image(const std::string& path, const DecodeLimits& limits) {
  const std::string bytes = read_file(path, limits.file_bytes, Exit::data);
  return decode_image({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()}, path, limits);
}

}  // namespace stopgrad
