// Hostile files: good ones, mutated at random.
#include <catch2/catch.hpp>
#include "kernels/philox.h"
#include "tests/faulty_files.h"
#include "tests/safetensors_text.h"

using namespace stopgrad;

namespace {

// Draws of one case of the mutation test.
struct Draws {
  uint32_t operator()(size_t below) {
    return philox(20261122, Purpose::test, number, draw++, 0, 0).v[0] %
           static_cast<uint32_t>(std::max(below, size_t{1}));
  }
  uint32_t number, draw = 0;
};

template <size_t n>
const char* one_of(const char* const (&list)[n], Draws& draws) {
  return list[draws(n)];
}

void mutate(std::string& text, Draws& draws) {
  static constexpr const char* tokens[] = {
      "{",  "}",    "[",       "]",    "\"",      ",",         ":",
      "\\", "null", "true",    "-",    "1e5",     "[0,0]",     "\"dtype\"",
      " ",  "\n",   "\\u0000", "\xff", "\"F64\"", "\"shape\"", "\"__metadata__\":{},"};
  static constexpr const char* numbers[] = {"0",
                                            "1",
                                            "4",
                                            "9223372036854775807",
                                            "9223372036854775808",
                                            "-1",
                                            "18446744073709551615",
                                            "18446744073709551616",
                                            "4294967296",
                                            "0.5"};
  const size_t at = draws(text.size()), count = 1 + draws(12);
  switch (draws(7)) {
    case 0:
      if (!text.empty()) text[at] = static_cast<char>(text[at] ^ (1 << draws(8)));
      break;
    case 1:
      text.insert(at, one_of(tokens, draws));
      break;
    case 2:
      text.erase(std::min(at, text.size()), count);
      break;
    case 3:
      text.insert(draws(text.size()), text.substr(std::min(at, text.size()), count * 8));
      break;
    case 4: {
      const size_t from = text.find_first_of("0123456789", at);
      if (from == text.npos) break;
      const size_t to = std::min(text.find_first_not_of("0123456789", from), text.size());
      text.replace(from, to - from, one_of(numbers, draws));
      break;
    }
    case 5:
      text.resize(draws(4) == 0 ? at : text.size());
      break;
    case 6:  // swaps two neighbours: still JSON more often than not
      if (at + 1 < text.size()) std::swap(text[at], text[at + 1]);
      break;
  }
}

}  // namespace

TEST_CASE("a mutated file parses to tensors that tile it, or is refused as a checkpoint", "[safetensors]") {
  const std::string seeds[] = {
      slurp(STOPGRAD_SOURCE_DIR "/tests/golden/reference.safetensors"),
      file_of(object(entry("w", "F32", "[2,2]", "[0,16]") + "," + entry("e", "I64", "[0]", "[16,16]") + "," +
                     entry("s", "I64", "[]", "[16,24]")) +
                  "    ",
              24),
      file_of(R"({"__metadata__":{"format":"pt","step":"7"}})")};
  int accepted = 0, refused = 0;
  for (uint32_t number = 0; number < 6000; ++number) {
    Draws draws{number};
    const std::string& seed = seeds[number % std::size(seeds)];
    const size_t header_end = data_begin(std::as_bytes(std::span(seed)), seed.size(), "seed");
    std::string header = seed.substr(8, header_end - 8), data = seed.substr(header_end);
    for (uint32_t rounds = 1 + draws(3); rounds > 0; --rounds) mutate(header, draws);
    if (draws(8) == 0) data.resize(draws(64));
    std::string file = length_prefix(header.size()) + header + data;
    if (draws(8) == 0) mutate(file, draws);  // the length, too
    try {
      const SafetensorsHeader parsed = parse(file);
      ++accepted;
      uint64_t end = 0;
      bool tiles = true;
      for (const TensorInfo& tensor : parsed.tensors) {
        tiles =
            tiles && tensor.begin == end && bytes_of(tensor.dtype, tensor.shape) == tensor.end - tensor.begin;
        tiles = tiles && parsed.find(tensor.name) == &tensor;
        end = tensor.end;
      }
      if (!tiles || parsed.data_begin + end != file.size()) FAIL("accepted: " << quoted_ascii(file));
    } catch (const Error& error) {
      ++refused;
      if (error.code() != Exit::checkpoint) FAIL(error.what() << " for " << quoted_ascii(file));
    } catch (const std::exception& error) {
      FAIL(error.what() << " for " << quoted_ascii(file));
    }
  }
  CHECK(accepted > 300);
  CHECK(refused > 3000);
}
