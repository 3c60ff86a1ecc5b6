#pragma once
// The two halves of parse_header: safetensors_json.cpp reads the text, safetensors_header.cpp decides whether
// what it says adds up.
#include "engine/safetensors.h"

namespace stopgrad {

inline constexpr uint64_t prefix_bytes = 8;  // the header's length, little-endian

template <class... Args>
[[noreturn]] void refuse(std::string_view file, fmt::format_string<Args...> format, Args&&... args) {
  const std::string what = fmt::format(format, std::forward<Args>(args)...);
  fail(Exit::checkpoint, "{}: {}; fetch it or save it again", file, what);
}

/// Fills `header` from its JSON: entries in the order of the text, sizes and offsets not yet compared.
void read_json(SafetensorsHeader& header, std::string_view text, std::string_view file);

}  // namespace stopgrad
