#include "data/file.h"

#include <algorithm>

namespace stopgrad {

namespace {
std::vector<uint8_t> read_all(InputFile& file, uint64_t count) {
  std::vector<uint8_t> bytes(count);
  file.read(std::as_writable_bytes(std::span(bytes)));
  return bytes;
}
}  // namespace

std::vector<uint8_t> read_bytes(const std::string& path, int64_t max_bytes) {
  InputFile file(path, static_cast<uint64_t>(max_bytes), Exit::data);
  return read_all(file, file.size());
}

std::vector<uint8_t> read_start(const std::string& path, int64_t count) {
  InputFile file(path, UINT64_MAX, Exit::data);
  return read_all(file, std::min(file.size(), static_cast<uint64_t>(count)));
}

}  // namespace stopgrad
