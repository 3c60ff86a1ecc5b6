#pragma once
// Reading of files that nobody vouches for: regular files only, and never more than was asked for.
#include <cstdint>
#include <string>
#include <vector>

#include "engine/file.h"

namespace stopgrad {

/// The bytes of a file, at most `max_bytes`; a larger file throws Error(Exit::data).
std::vector<uint8_t> read_bytes(const std::string& path, int64_t max_bytes);

/// The first bytes of a file, up to `count`.
std::vector<uint8_t> read_start(const std::string& path, int64_t count);

}  // namespace stopgrad
