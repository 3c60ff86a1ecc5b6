#pragma once
// Reading of files that nobody vouches for: regular files only, and never more than was asked for.
#include <cstdint>
#include <string>
#include <vector>

namespace stopgrad {

/// A regular file open for reading. A missing or unreadable file, a folder, a pipe or a device throws
/// Error(Exit::data) that names the path.
class InputFile {
 public:
  explicit InputFile(const std::string& path);
  ~InputFile();
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  int descriptor() const { return descriptor_; }
  int64_t size() const { return size_; }  // bytes

 private:
  int descriptor_ = -1;
  int64_t size_ = 0;
};

/// The bytes of a file, at most `max_bytes`; a larger file throws Error(Exit::data).
std::vector<uint8_t> read_file(const std::string& path, int64_t max_bytes);

/// The first bytes of a file, up to `count`.
std::vector<uint8_t> read_start(const std::string& path, int64_t count);

}  // namespace stopgrad
