#include "engine/file.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <filesystem>
#include <system_error>
#include <utility>

namespace stopgrad {

int FileCalls::open(const char* path, int flags, mode_t mode) { return ::open(path, flags, mode); }
int FileCalls::stat(int fd, struct stat* out) { return ::fstat(fd, out); }
ssize_t FileCalls::read(int fd, void* to, size_t bytes) { return ::read(fd, to, bytes); }
ssize_t FileCalls::write(int fd, const void* from, size_t bytes) { return ::write(fd, from, bytes); }
int FileCalls::lock(int fd) { return ::flock(fd, LOCK_EX | LOCK_NB); }
int FileCalls::fsync(int fd) { return ::fsync(fd); }
int FileCalls::close(int fd) { return ::close(fd); }
int FileCalls::rename(const char* from, const char* to) { return ::rename(from, to); }
int FileCalls::unlink(const char* path) { return ::unlink(path); }
int FileCalls::probe(pid_t process) { return ::kill(process, 0); }

int FileCalls::list(const char* directory, std::vector<std::string>& names) {
  DIR* entries = ::opendir(directory);
  if (entries == nullptr) return -1;
  while (const dirent* entry = ::readdir(entries)) names.emplace_back(entry->d_name);
  return ::closedir(entries);
}

FileCalls& real_files() {
  static FileCalls calls;
  return calls;
}

namespace {

// Repeats a call that a signal interrupted.
template <class Call>
auto uninterrupted(Call call) {
  auto result = call();
  while (result == -1 && errno == EINTR) result = call();
  return result;
}

std::string directory_of(const std::string& path) {
  const std::string parent = std::filesystem::path(path).parent_path().string();
  return parent.empty() ? "." : parent;
}

const char* advice(int error) {
  switch (error) {
    case ENOSPC:
    case EDQUOT:
      return "free some space or choose another disk";
    case ENOENT:
    case ENOTDIR:
    case EISDIR:
      return "check that the path is right";
    case EACCES:
    case EPERM:
    case EROFS:
      return "check the permissions or choose another directory";
    case EEXIST:
      return "another writer holds it; if there is none, remove that file";
    default:
      return "check the disk";
  }
}

bool abandoned(const std::string& temporary, pid_t writer, FileCalls& calls) {
  // Our own number may be a dead writer's: in containers numbers repeat. The lock tells, there too.
  if (writer != ::getpid() && (calls.probe(writer) == 0 || errno != ESRCH)) return false;
  const int fd = calls.open(temporary.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0);
  if (fd == -1) return false;
  const bool unlocked = calls.lock(fd) == 0;
  calls.close(fd);
  return unlocked;
}

}  // namespace

InputFile::InputFile(std::string path, uint64_t max_bytes, Exit code, FileCalls& calls)
    : path_(std::move(path)), code_(code), calls_(calls) {
  // O_NONBLOCK: a FIFO without a writer must be refused, not waited for.
  const int flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK;
  fd_ = uninterrupted([&] { return calls_.open(path_.c_str(), flags, 0); });
  if (fd_ == -1) give_up("open");
  struct stat status {};
  if (calls_.stat(fd_, &status) == -1) give_up("stat");
  size_ = static_cast<uint64_t>(status.st_size);
  const bool regular = S_ISREG(status.st_mode);
  if (regular && size_ <= max_bytes) return;
  calls_.close(fd_);
  if (!regular) fail(code_, "{}: is not a regular file; give the path of one", path_);
  fail(code_, "{}: has {} bytes, more than the limit of {}; is it the right file?", path_, size_, max_bytes);
}

InputFile::~InputFile() {
  if (fd_ != -1) calls_.close(fd_);
}

void InputFile::give_up(const char* call) {
  const int error = errno;
  if (fd_ != -1) calls_.close(std::exchange(fd_, -1));  // the constructor's caller has no destructor to run
  const std::string reason = std::generic_category().message(error);
  fail(code_, "{}: cannot be read: {} failed ({}); {}", path_, call, reason, advice(error));
}

void InputFile::read(std::span<std::byte> to) {
  while (!to.empty()) {
    const ssize_t got = uninterrupted([&] { return calls_.read(fd_, to.data(), to.size()); });
    if (got == -1) give_up("read");
    if (got == 0) fail(code_, "{}: became shorter while it was read; is it still being written?", path_);
    to = to.subspan(static_cast<size_t>(got));
  }
}

void InputFile::expect_end() {
  std::byte more;
  const ssize_t got = uninterrupted([&] { return calls_.read(fd_, &more, 1); });
  if (got == -1) give_up("read");
  if (got != 0) fail(code_, "{}: became longer while it was read; is it still being written?", path_);
}

std::string read_file(const std::string& path, uint64_t max_bytes, Exit code, FileCalls& calls) {
  InputFile file(path, max_bytes, code, calls);
  std::string text(file.size(), '\0');
  file.read(std::as_writable_bytes(std::span(text)));
  file.expect_end();
  return text;
}

std::vector<std::string> stale_temporaries(const std::string& path, FileCalls& calls) {
  const std::string prefix = std::filesystem::path(path).filename().string() + ".tmp.";
  const std::string directory = directory_of(path);
  std::vector<std::string> names, stale;
  calls.list(directory.c_str(), names);  // a directory that cannot be listed is tidied by nobody
  for (const std::string& name : names) {
    if (!name.starts_with(prefix)) continue;
    pid_t writer = 0;
    const char* end = name.data() + name.size();
    const auto [stop, error] = std::from_chars(name.data() + prefix.size(), end, writer);
    if (error != std::errc() || stop != end || writer <= 0) continue;
    const std::string temporary = directory + "/" + name;
    if (abandoned(temporary, writer, calls)) stale.push_back(temporary);
  }
  std::sort(stale.begin(), stale.end());
  return stale;
}

AtomicFile::AtomicFile(std::string path, FileCalls& calls)
    : path_(std::move(path)), temporary_(fmt::format("{}.tmp.{}", path_, ::getpid())), calls_(calls) {
  for (const std::string& leftover : stale_temporaries(path_, calls_)) calls_.unlink(leftover.c_str());
  const int flags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC;
  fd_ = uninterrupted([&] { return calls_.open(temporary_.c_str(), flags, 0666); });
  if (fd_ == -1) give_up("open");
  exists_ = true;
  // Where the file system has no locks, a leftover of our own number is refused instead of removed.
  calls_.lock(fd_);
}

AtomicFile::~AtomicFile() {
  if (fd_ != -1) calls_.close(fd_);
  if (exists_) calls_.unlink(temporary_.c_str());
}

void AtomicFile::give_up(const char* call) {
  const int error = errno;
  const std::string reason = std::generic_category().message(error);
  const char* remains = renamed_ ? "the new file is in its place, but a power cut may bring back the old one"
                                 : "what was there before is as it was";
  fail(Exit::write, "{}: cannot be written: {} failed at byte {} of {} ({}); {}; {}", path_, call, written_,
       temporary_, reason, remains, advice(error));
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t done = uninterrupted([&] { return calls_.write(fd_, bytes.data(), bytes.size()); });
    if (done == 0) errno = EIO;  // a disk that takes nothing and gives no reason
    if (done <= 0) give_up("write");
    written_ += static_cast<uint64_t>(done);
    bytes = bytes.subspan(static_cast<size_t>(done));
  }
}

void AtomicFile::commit() {
  // The bytes must be on the disk before the name is: else a power cut leaves the name on an empty file.
  if (uninterrupted([&] { return calls_.fsync(fd_); }) == -1) give_up("fsync");
  // Linux has closed the descriptor even when close was interrupted.
  if (calls_.close(std::exchange(fd_, -1)) == -1 && errno != EINTR) give_up("close");
  if (calls_.rename(temporary_.c_str(), path_.c_str()) == -1) give_up("rename");
  exists_ = false;
  renamed_ = true;
  sync_directory();
}

void AtomicFile::sync_directory() {
  const std::string directory = directory_of(path_);
  const int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
  const int fd = uninterrupted([&] { return calls_.open(directory.c_str(), flags, 0); });
  if (fd == -1) give_up("open of the directory");
  const int result = uninterrupted([&] { return calls_.fsync(fd); });
  const int error = errno;
  calls_.close(fd);
  errno = error;
  // EINVAL: a file system where a directory cannot be synced.
  if (result == -1 && error != EINVAL) give_up("fsync of the directory");
}

void write_file(const std::string& path, std::string_view text, FileCalls& calls) {
  AtomicFile file(path, calls);
  file.write(text);
  file.commit();
}

}  // namespace stopgrad
