// Decoders, encoder and resizing on whole files, and files refused for what they are.
#include "tests/files.h"

#include <unistd.h>

#include "tests/image_samples.h"

using namespace stopgrad;
using namespace stopgrad::test;
namespace fs = std::filesystem;

namespace {

int worst_difference(const Image& a, const Image& b) {
  REQUIRE(a.height == b.height);
  REQUIRE(a.width == b.width);
  REQUIRE(a.pixels.size() == b.pixels.size());
  int worst = 0;
  for (size_t i = 0; i < a.pixels.size(); ++i) worst = std::max(worst, std::abs(a.pixels[i] - b.pixels[i]));
  return worst;
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
