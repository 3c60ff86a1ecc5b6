// Decoders on truncated, damaged and hostile files: an error that names the file, never a crash.
#include "tests/files.h"

#include "kernels/philox.h"
#include "tests/image_samples.h"

using namespace stopgrad;
using namespace stopgrad::test;

namespace {

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
