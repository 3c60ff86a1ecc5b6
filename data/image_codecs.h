#pragma once
// The decoders behind image_file.h; each has been given a file of its kind.
#include <mutex>
#include <span>
#include <string>

#include "data/image_file.h"

namespace stopgrad {

Image decode_jpeg(std::span<const uint8_t> bytes, const std::string& name, const DecodeLimits& limits);
Image decode_png(std::span<const uint8_t> bytes, const std::string& name, const DecodeLimits& limits);
Image decode_bmp(std::span<const uint8_t> bytes, const std::string& name, const DecodeLimits& limits);

/// Refuses by the header alone, before anything of the image's size is allocated.
void check_image_size(const std::string& name, int64_t height, int64_t width, const DecodeLimits& limits);

/// To be held while an image is decoded that needs so many bytes: Error(Exit::memory) when they are not free.
/// Images that need much wait for each other, so that many threads do not need much at the same time.
std::unique_lock<std::mutex> reserve_memory(const std::string& name, int64_t height, int64_t width,
                                            int64_t bytes);

}  // namespace stopgrad
