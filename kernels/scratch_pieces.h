#pragma once
// One request for scratch memory, cut into aligned pieces: a call may ask only once.
#include <array>
#include <cstddef>

#include "kernels/context.h"

namespace stopgrad::cpu {

/// Pieces of these sizes in bytes, each on its own cache lines; uninitialised, valid until the next request.
template <size_t N>
std::array<char*, N> scratch_pieces(Context& context, const size_t (&bytes)[N]) {
  const auto padded = [](size_t size) { return (size + 63) / 64 * 64; };
  size_t total = 0;
  for (const size_t size : bytes) total += padded(size);
  char* next = static_cast<char*>(context.scratch(total));
  std::array<char*, N> pieces;
  for (size_t i = 0; i < N; ++i) {
    pieces[i] = next;
    next += padded(bytes[i]);
  }
  return pieces;
}

}  // namespace stopgrad::cpu
