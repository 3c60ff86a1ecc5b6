#include <catch2/catch.hpp>

#include <set>

#include "kernels/philox.h"

using namespace stopgrad;

namespace {
std::vector<uint32_t> words(const Philox& p) { return {p.v[0], p.v[1], p.v[2], p.v[3]}; }
}  // namespace

TEST_CASE("philox gives the known answers of its authors", "[philox]") {
  // Random123's kat_vectors, philox 4x32 with ten rounds.
  CHECK(words(philox4x32(0, 0, 0, 0, 0, 0)) ==
        std::vector<uint32_t>{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  const uint32_t ones = 0xffffffff;
  CHECK(words(philox4x32(ones, ones, ones, ones, ones, ones)) ==
        std::vector<uint32_t>{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
  CHECK(words(philox4x32(0xa4093822, 0x299f31d0, 0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344)) ==
        std::vector<uint32_t>{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

TEST_CASE("every number of the key and the counter changes the draw", "[philox]") {
  std::set<std::vector<uint32_t>> seen;
  const auto draw = [&](uint64_t seed, Purpose purpose, uint32_t c0, uint32_t c1, uint32_t c2, uint32_t c3) {
    seen.insert(words(philox(seed, purpose, c0, c1, c2, c3)));
  };
  draw(1, Purpose::test, 0, 0, 0, 0);
  draw(2, Purpose::test, 0, 0, 0, 0);
  draw(1 + (uint64_t{1} << 32), Purpose::test, 0, 0, 0, 0);
  for (const Purpose purpose :
       {Purpose::init, Purpose::order, Purpose::augment, Purpose::synthetic, Purpose::evaluate})
    draw(1, purpose, 0, 0, 0, 0);
  draw(1, Purpose::test, 1, 0, 0, 0);
  draw(1, Purpose::test, 0, 1, 0, 0);
  draw(1, Purpose::test, 0, 0, 1, 0);
  draw(1, Purpose::test, 0, 0, 0, 1);
  CHECK(seen.size() == 12);
}

TEST_CASE("the same seed and purpose give the same draw for ever", "[philox]") {
  // The key is (seed's low half, seed's high half ^ purpose * 0x9E3779B9): old checkpoints rely on it.
  const uint32_t mixed = 0x01234567u ^ (3u * 0x9E3779B9u);
  CHECK(words(philox(0x0123456789abcdefu, Purpose::augment, 4, 5, 6, 7)) ==
        words(philox4x32(0x89abcdefu, mixed, 4, 5, 6, 7)));
}

TEST_CASE("uniform numbers stay below one and fill the interval evenly", "[philox]") {
  CHECK(uniform01(0) == 0.0f);
  CHECK(uniform01(0xffffffff) == 1.0f - 0x1p-24f);
  const int draws = 40000, bins = 10;
  int filled[bins] = {};
  for (uint32_t i = 0; i < draws / 4; ++i) {
    const Philox p = philox(7, Purpose::test, i, 0, 0, 0);
    for (const uint32_t word : p.v) ++filled[static_cast<int>(bins * uniform01(word))];
  }
  double chi_square = 0;
  for (const int n : filled) chi_square += std::pow(n - draws / bins, 2) / (draws / bins);
  CHECK(chi_square < 27.9);  // 9 degrees of freedom, p = 0.001
}
