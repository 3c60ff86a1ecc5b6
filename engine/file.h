#pragma once
// Whole files: reading is bounded; writing leaves the old file or the new one under a name, never a half.
#include <sys/stat.h>
#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/check.h"

namespace stopgrad {

/// Every system call of this unit, with the kernel's own contract (-1 and errno). Tests derive from it to
/// fail, shorten or die in the n-th call.
struct FileCalls {
  virtual ~FileCalls() = default;
  virtual int open(const char* path, int flags, mode_t mode);
  virtual int stat(int fd, struct stat* out);
  virtual ssize_t read(int fd, void* to, size_t bytes);
  virtual ssize_t write(int fd, const void* from, size_t bytes);
  virtual int lock(int fd);  // exclusive until close; does not wait
  virtual int fsync(int fd);
  virtual int close(int fd);
  virtual int rename(const char* from, const char* to);
  virtual int unlink(const char* path);
  virtual int probe(pid_t process);  // 0 when the process exists
  virtual int list(const char* directory, std::vector<std::string>& names);
};

/// The calls themselves.
FileCalls& real_files();

/// A regular file open for reading. Errors carry `code` and name the path; a FIFO, device or directory, more
/// than `max_bytes`, and a file that changes its size while it is read are refused.
class InputFile {
 public:
  InputFile(std::string path, uint64_t max_bytes, Exit code, FileCalls& calls = real_files());
  ~InputFile();
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  uint64_t size() const { return size_; }  // bytes, when it was opened
  void read(std::span<std::byte> to);      // the next to.size() bytes, all of them
  void expect_end();                       // nothing may follow what was read

 private:
  [[noreturn]] void give_up(const char* call);

  std::string path_;
  Exit code_;
  FileCalls& calls_;
  int fd_ = -1;
  uint64_t size_ = 0;
};

/// The bytes of a regular file of at most `max_bytes`; errors carry `code`.
std::string read_file(const std::string& path, uint64_t max_bytes, Exit code,
                      FileCalls& calls = real_files());

/// Writes `path` so that a crash, a full disk or a power cut leaves the old file or the new one: all bytes go
/// to path.tmp.<pid>, and commit() puts them on the disk and then under the name. Without commit() the old
/// file stays and the temporary one is removed. A symbolic link at `path` is replaced, not followed. Errors
/// are Exit::write.
class AtomicFile {
 public:
  explicit AtomicFile(std::string path, FileCalls& calls = real_files());
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(std::span<const std::byte> bytes);
  void write(std::string_view text) { write(std::as_bytes(std::span(text))); }
  uint64_t written() const { return written_; }  // bytes so far
  void commit();

 private:
  [[noreturn]] void give_up(const char* call);
  void sync_directory();

  std::string path_, temporary_;
  FileCalls& calls_;
  int fd_ = -1;
  bool exists_ = false;   // the temporary file
  bool renamed_ = false;  // it has become the file
  uint64_t written_ = 0;
};

/// The whole of a small file through AtomicFile.
void write_file(const std::string& path, std::string_view text, FileCalls& calls = real_files());

/// Leftovers path.tmp.<pid> of writers that died: the process is gone and nobody holds the file's lock.
/// AtomicFile removes them when it opens.
std::vector<std::string> stale_temporaries(const std::string& path, FileCalls& calls = real_files());

}  // namespace stopgrad
