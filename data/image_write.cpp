#include <cstdlib>
#include <memory>

#include "data/image_file.h"
#include "engine/file.h"
#include "kernels/check.h"

#define STBI_WRITE_NO_STDIO
#define STB_IMAGE_WRITE_STATIC
#define STB_IMAGE_WRITE_IMPLEMENTATION
#include <stb/stb_image_write.h>

namespace stopgrad {

std::vector<uint8_t> encode_png(const uint8_t* pixels, int height, int width, int channels) {
  ENSURE(height >= 1 && width >= 1 && height <= 16384 && width <= 16384 &&
             int64_t{height} * width <= 100'000'000,
         "encode_png: {} x {} pixels, sides go to 16384 and the area to 100 million", width, height);
  ENSURE(channels >= 1 && channels <= 4, "encode_png: {} channels, a PNG has 1 to 4", channels);
  int length = 0;
  const std::unique_ptr<unsigned char, decltype(&std::free)> png(
      stbi_write_png_to_mem(pixels, width * channels, width, height, channels, &length), &std::free);
  ENSURE(png != nullptr, "encode_png: no memory for {} x {} x {}", width, height, channels);
  return {png.get(), png.get() + length};
}

void write_png(const std::string& path, const uint8_t* pixels, int height, int width, int channels) {
  const auto png = encode_png(pixels, height, width, channels);
  write_file(path, {reinterpret_cast<const char*>(png.data()), png.size()});
}

void write_png(const std::string& path, const Image& image) {
  write_png(path, image.pixels.data(), image.height, image.width, image.channels);
}

}  // namespace stopgrad
