#pragma once
// Files in the safetensors format, or nearly, written by hand.
#include "engine/safetensors.h"

namespace stopgrad {

inline std::string length_prefix(uint64_t length) {
  std::string out(8, '\0');
  for (size_t i = 0; i < 8; ++i) out[i] = static_cast<char>(length >> (8 * i));
  return out;
}

inline std::string file_of(const std::string& header, size_t data_bytes = 0) {
  return length_prefix(header.size()) + header + std::string(data_bytes, '\x2a');
}

inline std::string entry(const std::string& name, const std::string& dtype, const std::string& shape,
                         const std::string& offsets) {
  return fmt::format(R"("{}":{{"dtype":"{}","shape":{},"data_offsets":{}}})", name, dtype, shape, offsets);
}

inline std::string object(const std::string& entries) { return fmt::format("{{{}}}", entries); }

inline SafetensorsHeader parse(const std::string& file) {
  return parse_header(std::as_bytes(std::span(file)), file.size(), "f");
}

}  // namespace stopgrad
