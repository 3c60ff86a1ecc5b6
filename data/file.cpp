#include "data/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "kernels/check.h"

namespace stopgrad {

InputFile::InputFile(const std::string& path) {
  // O_NONBLOCK: opening a pipe must not wait for a writer before it is refused.
  descriptor_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor_ < 0) fail(Exit::data, "{}: {}", path, std::strerror(errno));
  struct stat about {};
  const bool regular = ::fstat(descriptor_, &about) == 0 && S_ISREG(about.st_mode);
  if (!regular) {
    ::close(descriptor_);
    fail(Exit::data, "{}: not a regular file", path);
  }
  size_ = about.st_size;
}

InputFile::~InputFile() { ::close(descriptor_); }

namespace {
std::vector<uint8_t> read_bytes(const InputFile& file, const std::string& path, int64_t count) {
  std::vector<uint8_t> bytes(static_cast<size_t>(count));
  size_t have = 0;
  while (have < bytes.size()) {
    const ssize_t got = ::read(file.descriptor(), bytes.data() + have, bytes.size() - have);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail(Exit::data, "{}: {} at byte {}", path, std::strerror(errno), have);
    if (got == 0) fail(Exit::data, "{}: became shorter while it was read, ends at byte {}", path, have);
    have += static_cast<size_t>(got);
  }
  return bytes;
}
}  // namespace

std::vector<uint8_t> read_file(const std::string& path, int64_t max_bytes) {
  const InputFile file(path);
  if (file.size() > max_bytes)
    fail(Exit::data, "{}: {} bytes, the limit is {}", path, file.size(), max_bytes);
  return read_bytes(file, path, file.size());
}

std::vector<uint8_t> read_start(const std::string& path, int64_t count) {
  const InputFile file(path);
  return read_bytes(file, path, std::min(file.size(), count));
}

}  // namespace stopgrad
