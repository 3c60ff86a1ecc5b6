// EXIF orientation: the eight ways a picture can lie in its file, and segments of any bytes.
#include "tests/files.h"

#include "data/exif.h"
#include "kernels/philox.h"
#include "tests/image_samples.h"

using namespace stopgrad;
using namespace stopgrad::test;

namespace {

struct Entry {
  uint32_t tag, type, count, value;
};

/// An APP1 payload whose directory begins at `offset` of its TIFF file.
Bytes exif(bool big_endian, const std::vector<Entry>& entries, uint32_t offset = 8) {
  Bytes b = {'E', 'x', 'i', 'f', 0, 0};
  const auto number = [&](uint32_t value, int size) {
    for (int k = 0; k < size; ++k)
      b.push_back(static_cast<uint8_t>(value >> (8 * (big_endian ? size - 1 - k : k))));
  };
  b.insert(b.end(), 2, big_endian ? 'M' : 'I');
  number(42, 2);
  number(offset, 4);
  b.resize(6 + offset);
  number(static_cast<uint32_t>(entries.size()), 2);
  for (const Entry& e : entries) {
    number(e.tag, 2);
    number(e.type, 2);
    number(e.count, 4);
    number(e.value, e.type == 3 ? 2 : 4);
    if (e.type == 3) number(0xabcd, 2);  // what a value of two bytes leaves of its four means nothing
  }
  number(0, 4);
  return b;
}

Entry orientation(uint32_t value) { return {274, 3, 1, value}; }

/// A JPEG with segments APP1 in front of all others.
Bytes with_segments(const Bytes& jpeg, const std::vector<Bytes>& payloads) {
  Bytes out(jpeg.begin(), jpeg.begin() + 2);
  for (const Bytes& p : payloads) {
    const size_t length = p.size() + 2;
    for (const size_t byte : {size_t{0xff}, size_t{0xe1}, length >> 8, length & 255})
      out.push_back(static_cast<uint8_t>(byte));
    out.insert(out.end(), p.begin(), p.end());
  }
  out.insert(out.end(), jpeg.begin() + 2, jpeg.end());
  return out;
}

/// Squares of 16 pixels, as light as their letter says, in the order of lines.
Image squares(const std::vector<std::string>& lines) {
  Image image{static_cast<int>(16 * lines.size()), static_cast<int>(16 * lines[0].size()), 3, {}};
  for (int y = 0; y < image.height; ++y)
    for (int x = 0; x < image.width; ++x)
      image.pixels.insert(image.pixels.end(), 3,
                          static_cast<uint8_t>((lines[y / 16][x / 16] - 'A') * 40 + 20));
  return image;
}

/// The letters of a picture of squares.
std::vector<std::string> letters(const Image& image) {
  std::vector<std::string> lines(image.height / 16);
  for (int y = 8; y < image.height; y += 16)
    for (int x = 8; x < image.width; x += 16)
      lines[y / 16] += static_cast<char>('A' + image.pixels[(y * image.width + x) * 3] / 40);
  return lines;
}

// ABC over DEF, as a file of each orientation holds it.
const std::vector<std::vector<std::string>> kStored = {
    {"ABC", "DEF"},     {"CBA", "FED"},     {"FED", "CBA"},     {"DEF", "ABC"},
    {"AD", "BE", "CF"}, {"CF", "BE", "AD"}, {"FC", "EB", "DA"}, {"DA", "EB", "FC"}};

}  // namespace

TEST_CASE("a JPEG of each orientation comes upright, in both byte orders", "[image][exif]") {
  for (uint32_t value = 1; value <= 8; ++value)
    for (const bool big_endian : {false, true}) {
      INFO("orientation " << value << (big_endian ? ", big endian" : ", little endian"));
      const Bytes plain = encode_jpeg(squares(kStored[value - 1]));
      const Bytes jpeg = with_segments(plain, {exif(big_endian, {orientation(value)})});
      CHECK(letters(decode_image(jpeg, "x")) == std::vector<std::string>{"ABC", "DEF"});
      CHECK(letters(decode_image(plain, "x")) == kStored[value - 1]);
      const Image half = decode_image(jpeg, "x", {.wanted_side = 16});
      CHECK((half.height == 16 && half.width == 24));
    }
}

TEST_CASE("an upright picture keeps every pixel and all its channels", "[image][exif]") {
  const Image image = smooth(3, 5, 4);
  const Image turned = turn_upright(image, 6);
  REQUIRE((turned.height == 5 && turned.width == 3 && turned.channels == 4));
  for (int y = 0; y < 5; ++y)
    for (int x = 0; x < 3; ++x)
      for (int c = 0; c < 4; ++c)
        REQUIRE(turned.pixels[(y * 3 + x) * 4 + c] == image.pixels[((2 - x) * 5 + y) * 4 + c]);
  CHECK(turn_upright(turned, 8).pixels == image.pixels);
  for (const int odd : {-1, 0, 1, 9}) CHECK(turn_upright(image, odd).pixels == image.pixels);
}

TEST_CASE("the first usable orientation of the first Exif segment counts", "[image][exif]") {
  CHECK(exif_orientation(exif(true, {{271, 2, 4, 0}, orientation(6), orientation(3)}, 50)) == 6);
  // Of another type or count, out of its range: as if it were not there.
  for (const Entry odd : {Entry{274, 4, 1, 3},
                          {274, 3, 2, 3},
                          {274, 3, 0, 3},
                          {274, 3, 1, 0},
                          {274, 3, 1, 9},
                          {275, 3, 1, 3}}) {
    CHECK(exif_orientation(exif(false, {odd})) == 1);
    CHECK(exif_orientation(exif(false, {odd, orientation(8)})) == 8);
  }
  CHECK(exif_orientation(exif(false, {})) == 1);
  Bytes order = exif(true, {orientation(6)}), version = order;
  order[7] = 'I';
  version[9] = 43;
  CHECK(exif_orientation(order) == 1);
  CHECK(exif_orientation(version) == 1);

  const Bytes xmp = bytes_of(std::string("http://ns.adobe.com/xap/1.0/\0<x:xmpmeta/>", 42));
  CHECK(exif_orientation(xmp) == 0);
  const Bytes plain = encode_jpeg(squares(kStored[2]));
  const auto seen = [&](const std::vector<Bytes>& segments) {
    return letters(decode_image(with_segments(plain, segments), "x"));
  };
  CHECK(seen({xmp, exif(true, {orientation(3)}), exif(true, {orientation(6)})}) == kStored[0]);
  CHECK(seen({exif(true, {}), exif(true, {orientation(3)})}) == kStored[2]);
}

TEST_CASE("a segment cut anywhere, or of any bytes, is no error and reads nothing beside it",
          "[image][exif]") {
  const Bytes plain = encode_jpeg(squares(kStored[0]));
  for (const bool big_endian : {false, true}) {
    const Bytes whole = exif(big_endian, {{271, 2, 4, 0}, orientation(6)}, 20);
    const size_t value_ends = 6 + 20 + 2 + 12 + 10;
    for (size_t size = 0; size <= whole.size(); ++size) {
      const Bytes cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));  // no byte to spare
      INFO(size << " of " << whole.size() << " bytes");
      REQUIRE(exif_orientation(cut) == (size < 6 ? 0 : size < value_ends ? 1 : 6));
      REQUIRE_NOTHROW(decode_image(with_segments(plain, {cut}), "x"));
    }
    for (uint32_t i = 0; i < 20000; ++i) {
      Bytes bytes = whole;
      for (uint32_t k = 0; k < 4; ++k) {
        const Philox draw = philox(1, Purpose::test, i, big_endian, 0, k);
        bytes[6 + draw.v[0] % (bytes.size() - 6)] = static_cast<uint8_t>(k == 0 ? 255 : draw.v[1]);
      }
      const int found = exif_orientation(bytes);
      REQUIRE((found >= 1 && found <= 8));
    }
  }
  for (const uint32_t far : {0u, 1u, 60u, 0x7fffffffu, 0xfffffff8u, 0xffffffffu}) {
    Bytes lost = exif(false, {orientation(6)});
    for (int k = 0; k < 4; ++k) lost[10 + k] = static_cast<uint8_t>(far >> (8 * k));
    CHECK(exif_orientation(lost) == 1);
  }
}
