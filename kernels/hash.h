#pragma once
// 64-bit FNV-1a: a number for bytes, the same on every machine. It finds accidents, not forgeries.
#include <cstdint>
#include <string_view>

namespace stopgrad {

/// Of what lies in pieces: each with the hash of those before it.
inline uint64_t fnv1a(std::string_view bytes, uint64_t before = 0xcbf29ce484222325u) {
  for (const unsigned char byte : bytes) before = (before ^ byte) * 0x100000001b3u;
  return before;
}

}  // namespace stopgrad
