// PNG and BMP by stb_image, which trusts its input: checksums, sizes and lengths are checked here first.
#include <zlib.h>

#include <algorithm>
#include <climits>
#include <cstdlib>
#include <memory>

#include "data/image_codecs.h"
#include "kernels/check.h"

namespace {
// stb_image unpacks a PNG without asking how far; this bounds each of its requests for memory.
thread_local size_t stb_ceiling = 0;
void* stb_allocate(size_t bytes) { return bytes <= stb_ceiling ? std::malloc(bytes) : nullptr; }
void* stb_reallocate(void* memory, size_t bytes) {
  return bytes <= stb_ceiling ? std::realloc(memory, bytes) : nullptr;
}
}  // namespace

#define STBI_MALLOC(bytes) stb_allocate(bytes)
#define STBI_REALLOC(memory, bytes) stb_reallocate(memory, bytes)
#define STBI_FREE(memory) std::free(memory)
#define STBI_ONLY_PNG
#define STBI_ONLY_BMP
#define STBI_NO_STDIO
#define STBI_MAX_DIMENSIONS 16384
#define STB_IMAGE_STATIC
#define STB_IMAGE_IMPLEMENTATION
#include <stb/stb_image.h>

namespace stopgrad {
namespace {

constexpr size_t kMaxAllocation = size_t{1} << 30;

Image decode_stb(std::span<const uint8_t> bytes, const std::string& name, const char* kind,
                 const DecodeLimits& limits) {
  if (bytes.size() > INT_MAX) fail(Exit::data, "{}: {} bytes are too many", name, bytes.size());
  const int size = static_cast<int>(bytes.size());
  int width = 0, height = 0, channels = 0;
  stb_ceiling = 1 << 20;
  if (!stbi_info_from_memory(bytes.data(), size, &width, &height, &channels))
    fail(Exit::data, "{}: {}: {}", name, kind, stbi_failure_reason());
  check_image_size(name, height, width, limits);
  // The largest honest requests: twice (it grows by doubling) 8 bytes a pixel (RGBA of 16 bits) and a filter
  // byte a line, or twice the compressed data.
  const size_t unpacked = size_t(height) * (size_t(width) * 8 + 8) * 2;
  stb_ceiling = std::min(kMaxAllocation, std::max(unpacked, bytes.size() * 2) + (1 << 16));
  // Unpacked, without its filters, as RGB.
  const int64_t pixel = channels * (stbi_is_16_bit_from_memory(bytes.data(), size) ? 2 : 1);
  const auto memory = reserve_memory(name, height, width, int64_t{height} * width * (2 * pixel + 3));
  const std::unique_ptr<stbi_uc, decltype(&std::free)> pixels(
      stbi_load_from_memory(bytes.data(), size, &width, &height, &channels, 3), &std::free);
  if (!pixels) fail(Exit::data, "{}: {}: {}", name, kind, stbi_failure_reason());
  return {height, width, 3, {pixels.get(), pixels.get() + size_t(height) * width * 3}};
}

uint32_t big_endian(const uint8_t* b) { return uint32_t{b[0]} << 24 | b[1] << 16 | b[2] << 8 | b[3]; }
uint32_t little_endian(const uint8_t* b) { return uint32_t{b[3]} << 24 | b[2] << 16 | b[1] << 8 | b[0]; }

/// Chunks are length, type, data, CRC-32 of type and data (PNG specification 5.3); stb_image skips the CRC.
void check_png_chunks(std::span<const uint8_t> bytes, const std::string& name) {
  size_t at = 8;
  while (true) {
    if (bytes.size() - at < 12) fail(Exit::data, "{}: PNG: truncated in the chunk at offset {}", name, at);
    const size_t length = big_endian(bytes.data() + at);
    if (length > bytes.size() - at - 12)
      fail(Exit::data, "{}: PNG: truncated, the chunk at offset {} has {} bytes", name, at, length);
    const uint8_t* type = bytes.data() + at + 4;
    if (crc32(0, type, static_cast<uInt>(length + 4)) != big_endian(type + 4 + length))
      fail(Exit::data, "{}: PNG: checksum of the chunk at offset {} differs", name, at);
    if (std::equal(type, type + 4, "IEND")) return;
    at += length + 12;
  }
}

/// stb_image reads zeros behind the end of a BMP; this is where the last pixel has to be.
void check_bmp_length(std::span<const uint8_t> bytes, const std::string& name) {
  if (bytes.size() < 30) fail(Exit::data, "{}: BMP: truncated in its header", name);
  const uint8_t* b = bytes.data();
  const bool old = little_endian(b + 14) == 12;  // OS/2 header with sizes of 16 bits
  const int64_t width = old ? b[18] | b[19] << 8 : static_cast<int32_t>(little_endian(b + 18));
  const int64_t height = old ? b[20] | b[21] << 8 : static_cast<int32_t>(little_endian(b + 22));
  const int64_t bits = old ? b[24] | b[25] << 8 : b[28] | b[29] << 8;
  const int64_t line = (width * bits + 31) / 32 * 4;  // lines are padded to 4 bytes, the last may not be
  const int64_t end = little_endian(b + 10) + line * (std::abs(height) - 1) + (width * bits + 7) / 8;
  if (end > static_cast<int64_t>(bytes.size()))
    fail(Exit::data, "{}: BMP: truncated, {} bytes where its header needs {}", name, bytes.size(), end);
}

}  // namespace

Image decode_png(std::span<const uint8_t> bytes, const std::string& name, const DecodeLimits& limits) {
  check_png_chunks(bytes, name);
  return decode_stb(bytes, name, "PNG", limits);
}

Image decode_bmp(std::span<const uint8_t> bytes, const std::string& name, const DecodeLimits& limits) {
  check_bmp_length(bytes, name);
  return decode_stb(bytes, name, "BMP", limits);
}

}  // namespace stopgrad
