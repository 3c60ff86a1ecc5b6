#pragma once
// Image files made in memory, by other code than that under test where there is any.
#include <zlib.h>

#include <cstdint>
#include <cstdio>
// jpeglib.h needs stdio before it.
#include <jpeglib.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "data/image_file.h"

namespace stopgrad::test {

using Bytes = std::vector<uint8_t>;

/// A smooth picture, which JPEG keeps well: each channel another ramp.
inline Image smooth(int height, int width, int channels) {
  Image image{height, width, channels, {}};
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x)
      for (int c = 0; c < channels; ++c)
        image.pixels.push_back(static_cast<uint8_t>(20 + (c == 0   ? 200 * x / width
                                                          : c == 1 ? 200 * y / height
                                                                   : 100 * (x + y) / (width + height) + c)));
  return image;
}

struct JpegOptions {
  J_COLOR_SPACE stored = JCS_YCbCr;
  bool progressive = false;
  bool adobe = false;
  int bands = 0;  // > 0: a progressive file of this many scans more
};

inline Bytes encode_jpeg(const Image& image, const JpegOptions& options = {}) {
  jpeg_compress_struct info{};
  jpeg_error_mgr errors{};
  info.err = jpeg_std_error(&errors);
  jpeg_create_compress(&info);
  unsigned char* buffer = nullptr;
  unsigned long size = 0;
  jpeg_mem_dest(&info, &buffer, &size);
  info.image_height = image.height;
  info.image_width = image.width;
  info.input_components = image.channels;
  info.in_color_space = image.channels == 1 ? JCS_GRAYSCALE : image.channels == 3 ? JCS_RGB : JCS_CMYK;
  jpeg_set_defaults(&info);
  jpeg_set_colorspace(&info, image.channels == 1 ? JCS_GRAYSCALE : options.stored);
  jpeg_set_quality(&info, 95, TRUE);
  info.write_Adobe_marker = options.adobe;
  if (options.progressive) jpeg_simple_progression(&info);
  // A grey file in which each coefficient has a scan of its own, and then a second one for its last bit.
  std::vector<jpeg_scan_info> scans;
  if (options.bands > 0) {
    scans.push_back({1, {0}, 0, 0, 0, 0});
    for (int bit = 1; bit >= 0; --bit)
      for (int k = 1; k <= options.bands; ++k) scans.push_back({1, {0}, k, k, bit == 1 ? 0 : 1, bit});
    info.scan_info = scans.data();
    info.num_scans = static_cast<int>(scans.size());
  }
  jpeg_start_compress(&info, TRUE);
  while (info.next_scanline < info.image_height) {
    auto* row =
        const_cast<uint8_t*>(image.pixels.data()) + size_t{info.next_scanline} * image.width * image.channels;
    jpeg_write_scanlines(&info, &row, 1);
  }
  jpeg_finish_compress(&info);
  jpeg_destroy_compress(&info);
  Bytes bytes(buffer, buffer + size);
  std::free(buffer);
  return bytes;
}

inline void put(Bytes& bytes, uint32_t value, int count) {
  for (int i = 0; i < count; ++i) bytes.push_back(static_cast<uint8_t>(value >> (8 * i)));
}

/// 24 bits a pixel, bottom line first, BITMAPINFOHEADER. Widths are multiples of 4, so that lines need no
/// padding.
inline Bytes encode_bmp(const Image& image) {
  Bytes b{'B', 'M'};
  const uint32_t pixels = image.height * image.width * 3;
  for (const uint32_t field : {54 + pixels, 0u, 54u, 40u}) put(b, field, 4);
  put(b, image.width, 4);
  put(b, image.height, 4);
  put(b, 1, 2);
  put(b, 24, 2);
  for (const uint32_t field : {0u, pixels, 2835u, 2835u, 0u, 0u}) put(b, field, 4);
  for (int y = image.height - 1; y >= 0; --y)
    for (int x = 0; x < image.width; ++x)
      for (int c = 2; c >= 0; --c) b.push_back(image.pixels[(y * image.width + x) * 3 + c]);
  return b;
}

inline Bytes encode_png(const Image& image) {
  return stopgrad::encode_png(image.pixels.data(), image.height, image.width, image.channels);
}

inline void append_chunk(Bytes& png, const std::string& type, const Bytes& data) {
  Bytes chunk(type.begin(), type.end());
  chunk.insert(chunk.end(), data.begin(), data.end());
  const auto big = [&](uint32_t v) {
    for (int shift = 24; shift >= 0; shift -= 8) png.push_back(static_cast<uint8_t>(v >> shift));
  };
  big(static_cast<uint32_t>(data.size()));
  png.insert(png.end(), chunk.begin(), chunk.end());
  big(static_cast<uint32_t>(crc32(0, chunk.data(), static_cast<uInt>(chunk.size()))));
}

/// A PNG of any header and any unpacked data.
inline Bytes make_png(uint32_t width, uint32_t height, uint8_t depth, uint8_t colour, const Bytes& raw) {
  Bytes png{0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'}, header;
  for (const uint32_t side : {width, height})
    for (int shift = 24; shift >= 0; shift -= 8) header.push_back(static_cast<uint8_t>(side >> shift));
  for (const uint8_t field : {depth, colour, uint8_t{0}, uint8_t{0}, uint8_t{0}}) header.push_back(field);
  append_chunk(png, "IHDR", header);
  uLongf size = compressBound(raw.size());
  Bytes packed(size);
  compress(packed.data(), &size, raw.data(), raw.size());
  packed.resize(size);
  append_chunk(png, "IDAT", packed);
  append_chunk(png, "IEND", {});
  return png;
}

}  // namespace stopgrad::test
