// Decoders, encoder and resizing on files made here, whole and damaged.
#include "kernels/check.h"
#undef CHECK  // Catch2 has one too
#include <unistd.h>
#include <zlib.h>

#include <catch2/catch.hpp>
#include <cstdio>
// jpeglib.h needs stdio before it.
#include <jpeglib.h>

#include <cstdlib>
#include <filesystem>
#include <functional>

#include "data/image_file.h"
#include "kernels/philox.h"

using namespace stopgrad;
using Bytes = std::vector<uint8_t>;
namespace fs = std::filesystem;

namespace {

/// The message of the error that `action` has to raise.
std::string error_of(Exit code, const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    INFO(error.what());
    REQUIRE(error.code() == code);
    return error.what();
  }
  FAIL("no error was raised");
  return {};
}

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

/// A smooth picture, which JPEG keeps well: each channel another ramp.
Image smooth(int height, int width, int channels) {
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

Bytes encode_jpeg(const Image& image, const JpegOptions& options = {}) {
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

void put(Bytes& bytes, uint32_t value, int count) {
  for (int i = 0; i < count; ++i) bytes.push_back(static_cast<uint8_t>(value >> (8 * i)));
}

/// 24 bits a pixel, bottom line first, BITMAPINFOHEADER. Widths are multiples of 4, so that lines need no
/// padding.
Bytes encode_bmp(const Image& image) {
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

Bytes encode_png(const Image& image) {
  return stopgrad::encode_png(image.pixels.data(), image.height, image.width, image.channels);
}

void append_chunk(Bytes& png, const std::string& type, const Bytes& data) {
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
Bytes make_png(uint32_t width, uint32_t height, uint8_t depth, uint8_t colour, const Bytes& raw) {
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

int worst_difference(const Image& a, const Image& b) {
  REQUIRE(a.height == b.height);
  REQUIRE(a.width == b.width);
  REQUIRE(a.pixels.size() == b.pixels.size());
  int worst = 0;
  for (size_t i = 0; i < a.pixels.size(); ++i) worst = std::max(worst, std::abs(a.pixels[i] - b.pixels[i]));
  return worst;
}

void refuse_every_truncation(const Bytes& whole) {
  CHECK_NOTHROW(decode_image(whole, "whole"));
  for (size_t size = 0; size < whole.size(); ++size) {
    INFO("cut to " << size << " of " << whole.size() << " bytes");
    const std::string text =
        error_of(Exit::data, [&] { decode_image(std::span(whole.data(), size), "cut.jpg"); });
    REQUIRE(text.starts_with("cut.jpg: "));
  }
}

/// Gives every chunk its right checksum again, as somebody who means harm would.
void mend_png_checksums(Bytes& png) {
  for (size_t at = 8; at + 12 <= png.size();) {
    const size_t length = png[at] << 24 | png[at + 1] << 16 | png[at + 2] << 8 | png[at + 3];
    if (length > png.size() - at - 12) return;
    const auto sum = crc32(0, png.data() + at + 4, static_cast<uInt>(length + 4));
    for (int k = 0; k < 4; ++k) png[at + 8 + length + k] = static_cast<uint8_t>(sum >> (24 - 8 * k));
    at += length + 12;
  }
}

/// Copies of `whole` with one to eight flipped bits; returns how many of them were decoded all the same.
int decode_damaged(const Bytes& whole, int copies, uint32_t what, void (*mend)(Bytes&) = nullptr) {
  DecodeLimits limits;
  limits.area = 1 << 20;  // a flipped size must not make this test slow
  int decoded = 0;
  for (int i = 0; i < copies; ++i) {
    Bytes bytes = whole;
    const Philox count = philox(1, Purpose::test, what, i, 0, 0);
    for (uint32_t k = 0; k <= count.v[0] % 8; ++k) {
      const Philox flip = philox(1, Purpose::test, what, i, 1, k);
      bytes[flip.v[0] % bytes.size()] ^= static_cast<uint8_t>(1u << flip.v[1] % 8);
    }
    if (bytes == whole) continue;  // the same bit twice
    if (mend != nullptr) mend(bytes);
    try {
      const Image image = decode_image(bytes, "damaged", limits);
      ++decoded;
      REQUIRE(image.pixels.size() == size_t(image.height) * image.width * 3);
      REQUIRE(image.pixels.size() <= size_t(limits.area) * 3);
    } catch (const Error& error) {
      REQUIRE(error.code() == Exit::data);
      REQUIRE(std::string(error.what()).starts_with("damaged: "));
    }
  }
  return decoded;
}

}  // namespace

TEST_CASE("a PNG gives back its pixels: grey repeated, alpha dropped", "[image]") {
  for (const int channels : {1, 2, 3, 4})
    for (const auto& [height, width] : {std::pair{1, 1}, {1, 7}, {5, 1}, {13, 17}}) {
      const Image image = smooth(height, width, channels);
      const Image back = decode_image(encode_png(image), "x.png");
      REQUIRE(back.channels == 3);
      REQUIRE(back.height == height);
      REQUIRE(back.width == width);
      for (int p = 0; p < height * width; ++p)
        for (int c = 0; c < 3; ++c)
          REQUIRE(back.pixels[p * 3 + c] == image.pixels[p * channels + (channels < 3 ? 0 : c)]);
    }
}

TEST_CASE("a PNG of 16 bits keeps the upper eight", "[image]") {
  const Image image = decode_image(make_png(2, 1, 16, 0, {0, 0x12, 0x34, 0xfe, 0x01}), "x.png");
  CHECK(image.pixels == Bytes{0x12, 0x12, 0x12, 0xfe, 0xfe, 0xfe});
}

TEST_CASE("a BMP gives back its pixels", "[image]") {
  const Image image = smooth(6, 8, 3);
  CHECK(decode_image(encode_bmp(image), "x.bmp").pixels == image.pixels);
}

TEST_CASE("a JPEG comes back within its loss, progressive and baseline alike bit for bit", "[image]") {
  for (const auto& [height, width] : {std::pair{48, 64}, {33, 17}}) {
    const Image image = smooth(height, width, 3);
    const Image baseline = decode_image(encode_jpeg(image), "x.jpg");
    CHECK(worst_difference(baseline, image) <= 8);
    CHECK(decode_image(encode_jpeg(image, {.progressive = true}), "x.jpg").pixels == baseline.pixels);
  }
}

TEST_CASE("grey JPEG becomes RGB", "[image]") {
  const Image grey = smooth(16, 24, 1);
  const Image image = decode_image(encode_jpeg(grey), "x.jpg");
  REQUIRE(image.channels == 3);
  for (size_t p = 0; p < grey.pixels.size(); ++p) {
    REQUIRE(std::abs(image.pixels[p * 3] - grey.pixels[p]) <= 4);
    REQUIRE(image.pixels[p * 3] == image.pixels[p * 3 + 1]);
    REQUIRE(image.pixels[p * 3] == image.pixels[p * 3 + 2]);
  }
}

TEST_CASE("CMYK and YCCK JPEGs become RGB, Adobe's inverted ones too", "[image]") {
  // Full cyan and half black: no red, half of green and blue. Adobe's files hold 255 - ink.
  for (const bool adobe : {false, true})
    for (const auto stored : {JCS_CMYK, JCS_YCCK}) {
      if (stored == JCS_YCCK && !adobe) continue;  // only Adobe's marker tells that a file is YCCK
      Image inks{16, 16, 4, {}};
      for (int p = 0; p < 256; ++p)
        for (const int ink : {255, 0, 0, 128})
          inks.pixels.push_back(static_cast<uint8_t>(adobe ? 255 - ink : ink));
      const Image image = decode_image(encode_jpeg(inks, {.stored = stored, .adobe = adobe}), "x.jpg");
      REQUIRE(image.channels == 3);
      CHECK(image.pixels[0] <= 3);
      CHECK(std::abs(image.pixels[1] - 127) <= 3);
      CHECK(std::abs(image.pixels[2] - 127) <= 3);
    }
}

TEST_CASE("what a file is, its first bytes say, not its name", "[image]") {
  const Image image = smooth(16, 16, 3);
  CHECK(decode_image(encode_jpeg(image), "picture.png").height == 16);
  CHECK(decode_image(encode_png(image), "picture.JPEG").pixels == image.pixels);
  CHECK(decode_image(encode_bmp(image), "picture").pixels == image.pixels);
  const auto refusal = [](const std::string& bytes) {
    return error_of(Exit::data, [&] { decode_image(Bytes(bytes.begin(), bytes.end()), "a.jpg"); });
  };
  CHECK(refusal("") == "a.jpg: an empty file, JPEG, PNG and BMP are read");
  CHECK(has(refusal("GIF89a......"), "a GIF image"));
  CHECK(has(refusal("RIFF....WEBPVP8 "), "a WebP image"));
  CHECK(has(refusal(std::string("II*\0....", 8)), "a TIFF image"));
  CHECK(has(refusal("<html>not found"), "not an image"));
}

TEST_CASE("a JPEG comes scaled only as far as the wanted side allows", "[image]") {
  const Image image = smooth(64, 96, 3);
  const Bytes bytes = encode_jpeg(image);
  const auto height_for = [&](int wanted) {
    return decode_image(bytes, "x", {.wanted_side = wanted}).height;
  };
  CHECK(height_for(0) == 64);
  CHECK(height_for(33) == 64);
  CHECK(height_for(32) == 32);
  CHECK(height_for(17) == 32);
  CHECK(height_for(16) == 16);
  CHECK(height_for(1) == 8);
  const Image half = decode_image(bytes, "x", {.wanted_side = 32});
  CHECK(worst_difference(half, resize_bilinear(image, 32, 48)) <= 8);
}

TEST_CASE("long strips and single pixels decode, longer ones are refused by their header", "[image]") {
  for (const auto& [height, width] : {std::pair{1, 1}, {1, 16384}, {16384, 1}}) {
    const Image image = smooth(height, width, 3);
    CHECK(decode_image(encode_png(image), "x").pixels == image.pixels);
    CHECK(worst_difference(decode_image(encode_jpeg(image), "x"), image) <= 8);
    CHECK(square_resize(image, 64).pixels.size() == 64 * 64 * 3);
  }
  const Image strip = smooth(1, 16385, 3);
  CHECK(has(error_of(Exit::data, [&] { decode_image(encode_jpeg(strip), "x"); }), "16385 x 1"));
  // Headers that promise much: refused before there is anything to unpack.
  CHECK(has(error_of(Exit::data, [] { decode_image(make_png(16384, 16384, 8, 2, {0}), "x"); }), "100000000"));
  error_of(Exit::data, [] { decode_image(make_png(0xffffffff, 1, 8, 2, {0}), "x"); });
  error_of(Exit::data, [] { decode_image(make_png(0, 1, 8, 2, {0}), "x"); });
}

TEST_CASE("file size and area limits are the caller's", "[image]") {
  const Image image = smooth(10, 10, 3);
  const Bytes bytes = encode_png(image);
  CHECK_NOTHROW(decode_image(bytes, "x", {.file_bytes = int64_t(bytes.size()), .area = 100}));
  CHECK(has(error_of(Exit::data, [&] { decode_image(bytes, "x", {.area = 99}); }), "the limit is 99"));
  error_of(Exit::data, [&] { decode_image(bytes, "x", {.file_bytes = int64_t(bytes.size()) - 1}); });
}

TEST_CASE("a PNG that unpacks to far more than its pixels is refused", "[image]") {
  CHECK_NOTHROW(decode_image(make_png(1, 1, 8, 0, {0, 7}), "x"));
  error_of(Exit::data, [] { decode_image(make_png(1, 1, 8, 0, Bytes(size_t{64} << 20)), "bomb"); });
}

TEST_CASE("a progressive JPEG of too many scans is refused", "[image]") {
  const Bytes bytes = encode_jpeg(smooth(16, 16, 1), {.bands = 60});  // 121 scans
  CHECK(has(error_of(Exit::data, [&] { decode_image(bytes, "bomb"); }),
            "bomb: JPEG: too many progressive scans"));
  CHECK_NOTHROW(decode_image(bytes, "x", {.jpeg_scans = 121}));
}

TEST_CASE("every truncation of a JPEG, PNG or BMP is an error that names the file", "[image]") {
  const Image image = smooth(16, 16, 3);
  refuse_every_truncation(encode_jpeg(image));
  refuse_every_truncation(encode_jpeg(image, {.progressive = true}));
  refuse_every_truncation(encode_png(image));
  refuse_every_truncation(encode_bmp(image));
}

TEST_CASE("flipped bits never crash a decoder; PNG checksums find every one", "[image]") {
  const Image image = smooth(24, 20, 3);
  decode_damaged(encode_jpeg(image), 400, 0);
  decode_damaged(encode_jpeg(image, {.progressive = true}), 400, 1);
  decode_damaged(encode_jpeg(smooth(24, 20, 4), {.stored = JCS_YCCK, .adobe = true}), 200, 2);
  decode_damaged(encode_bmp(image), 400, 3);
  CHECK(decode_damaged(encode_png(image), 400, 4) == 0);
  decode_damaged(encode_png(image), 1000, 5, mend_png_checksums);
  decode_damaged(encode_png(smooth(5, 9, 1)), 1000, 6, mend_png_checksums);
}

TEST_CASE("corrupt data that libjpeg mends is accepted up to the limit of warnings", "[image]") {
  Bytes bytes = encode_jpeg(smooth(16, 16, 3));
  bytes.insert(bytes.end() - 2, 64, 0x55);  // in front of the end marker: one warning
  CHECK_NOTHROW(decode_image(bytes, "x", {.jpeg_warnings = 1}));
  error_of(Exit::data, [&] { decode_image(bytes, "x", {.jpeg_warnings = 0}); });
}

TEST_CASE("resizing averages what it shrinks and keeps what it does not change", "[image]") {
  const Image image = smooth(9, 11, 3);
  CHECK(resize_bilinear(image, 9, 11).pixels == image.pixels);

  Image board{64, 64, 1, {}};  // one-pixel squares: what picks pixels instead of averaging gives 0 or 255
  for (int p = 0; p < 64 * 64; ++p) board.pixels.push_back((p / 64 + p % 64) % 2 ? 255 : 0);
  for (const uint8_t value : resize_bilinear(board, 16, 16).pixels) REQUIRE(std::abs(value - 127.5) <= 12);

  const Image flat{5, 3, 1, Bytes(15, 77)};
  for (const auto& [h, w] : {std::pair{1, 1}, {2, 7}, {50, 40}})
    CHECK(resize_bilinear(flat, h, w).pixels == Bytes(size_t(h) * w, 77));

  const Image ramp{
      1, 4, 1, {0, 80, 160, 240}};  // by hand: triangle of base 4 around 1 and 3, cut at the edges
  CHECK(resize_bilinear(ramp, 1, 2).pixels == Bytes{57, 183});
  CHECK(resize_bilinear(ramp, 1, 8).pixels == Bytes{0, 20, 60, 100, 140, 180, 220, 240});
}

TEST_CASE("square_resize cuts the centre", "[image]") {
  Image wide{4, 12, 3, Bytes(4 * 12 * 3, 0)};
  for (int y = 0; y < 4; ++y)
    for (int x = 4; x < 8; ++x)
      for (int c = 0; c < 3; ++c) wide.pixels[(y * 12 + x) * 3 + c] = 200;
  CHECK(square_resize(wide, 4).pixels == Bytes(4 * 4 * 3, 200));
  const Image image = smooth(20, 30, 3), resized = resize_bilinear(image, 10, 15);
  const Image square = square_resize(smooth(20, 31, 3), 10);  // centre between pixels
  CHECK(square.height == 10);
  CHECK(square.width == 10);
  const Image even = square_resize(smooth(20, 24, 3), 10), all = resize_bilinear(smooth(20, 24, 3), 10, 12);
  for (int y = 0; y < 10; ++y)
    for (int x = 0; x < 30; ++x) REQUIRE(even.pixels[y * 30 + x] == all.pixels[y * 36 + 3 + x]);
}

TEST_CASE("a PNG file can be written and read; a path that cannot be written is an error", "[image]") {
  const fs::path path = fs::temp_directory_path() / ("stopgrad_png_" + std::to_string(::getpid()));
  const Image image = smooth(7, 5, 3);
  write_png(path.string(), image);
  CHECK(read_image(path.string()).pixels == image.pixels);
  CHECK(has(error_of(Exit::data, [&] { read_image(path.string(), {.file_bytes = 10}); }), path.string()));
  fs::remove(path);
  CHECK(has(error_of(Exit::data, [&] { read_image(path.string()); }), path.string()));
  error_of(Exit::write, [&] { write_png((path / "none" / "x.png").string(), image); });
  error_of(Exit::data, [] { read_image("/dev/zero"); });
  error_of(Exit::data, [] { read_image("/"); });
}

TEST_CASE("encode_png refuses sizes that a PNG decoder here would refuse", "[image]") {
  const uint8_t pixel[4] = {};
  error_of(Exit::failed, [&] { stopgrad::encode_png(pixel, 1, 16385, 3); });
  error_of(Exit::failed, [&] { stopgrad::encode_png(pixel, 0, 1, 3); });
  error_of(Exit::failed, [&] { stopgrad::encode_png(pixel, 1, 1, 5); });
}
