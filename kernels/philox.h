#pragma once
// Philox 4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"): random numbers as a
// pure function of printable numbers. Key: (seed, purpose); counter: four numbers that say which draw.
#include <array>
#include <cstdint>

#include "kernels/host_device.h"

namespace stopgrad {

/// What a random number is for; part of the key, so that no two uses share numbers.
enum class Purpose : uint32_t { init = 1, order = 2, augment = 3, synthetic = 4, test = 5, evaluate = 6 };

struct Philox {
  uint32_t v[4];
};

/// The generator itself: ten rounds over a counter of four numbers under a key of two.
STOPGRAD_HOST_DEVICE inline Philox philox4x32(uint32_t k0, uint32_t k1, uint32_t c0, uint32_t c1, uint32_t c2,
                                              uint32_t c3) {
  for (int round = 0; round < 10; ++round) {
    const uint64_t a = uint64_t{0xD2511F53u} * c0;
    const uint64_t b = uint64_t{0xCD9E8D57u} * c2;
    const uint32_t n0 = static_cast<uint32_t>(b >> 32) ^ c1 ^ k0;
    const uint32_t n2 = static_cast<uint32_t>(a >> 32) ^ c3 ^ k1;
    c1 = static_cast<uint32_t>(b);
    c3 = static_cast<uint32_t>(a);
    c0 = n0;
    c2 = n2;
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return {{c0, c1, c2, c3}};
}

/// Draws keyed by what they are for. The key is 64 bits: the seed's low half, and its high half mixed with
/// the purpose.
STOPGRAD_HOST_DEVICE inline Philox philox(uint64_t seed, Purpose purpose, uint32_t c0, uint32_t c1,
                                          uint32_t c2, uint32_t c3) {
  const uint32_t mixed = static_cast<uint32_t>(seed >> 32) ^ (static_cast<uint32_t>(purpose) * 0x9E3779B9u);
  return philox4x32(static_cast<uint32_t>(seed), mixed, c0, c1, c2, c3);
}

/// 24 random bits as a float in [0, 1).
STOPGRAD_HOST_DEVICE inline float uniform01(uint32_t bits) {
  return static_cast<float>(bits >> 8) * 0x1p-24f;
}

}  // namespace stopgrad
