#pragma once
// System calls that fail, stutter or die on request, and a directory to try them in.
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <string>
#include <vector>

#include "engine/file.h"

namespace stopgrad {

struct TempDir {
  TempDir() {
    std::string pattern = (std::filesystem::temp_directory_path() / "stopgrad.XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("mkdtemp " + pattern);
    path = pattern;
  }
  ~TempDir() { std::filesystem::remove_all(path); }
  std::string operator/(const std::string& name) const { return path + "/" + name; }
  std::vector<std::string> names() const {
    std::vector<std::string> found;
    for (const auto& entry : std::filesystem::directory_iterator(path))
      found.push_back(entry.path().filename());
    std::sort(found.begin(), found.end());
    return found;
  }

  std::string path;
};

// The tests' own way to files, beside the code that they test.
inline std::string slurp(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}
inline void spit(const std::string& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

struct FaultyFiles : FileCalls {
  enum Style { once, from_there_on, die };

  Style style = once;
  int at = 0;                                            // the call that fails, from 1; 0: none
  int error = EIO;                                       // with this errno
  int count = 0;                                         // calls so far
  int interruptions = 0;                                 // so many more EINTR before a call is carried out
  size_t piece = std::numeric_limits<size_t>::max();     // most bytes per read or write
  uint64_t room = std::numeric_limits<uint64_t>::max();  // bytes until the disk is full
  std::vector<std::string> log;                          // name of every call

  bool fails(const char* name, int fd = -1) {
    ++count;
    log.emplace_back(name);
    if (at == 0 || count < at || (style == once && count > at)) return false;
    if (style == die) {
      if (fd != -1) (void)!::write(fd, "torn", 4);  // a write that dies has often written something
      ::raise(SIGKILL);
    }
    errno = error;
    return true;
  }
  bool interrupted() {
    if (interruptions == 0) return false;
    --interruptions;
    errno = EINTR;
    return true;
  }

  int open(const char* path, int flags, mode_t mode) override {
    return interrupted() || fails("open") ? -1 : FileCalls::open(path, flags, mode);
  }
  int stat(int fd, struct stat* out) override { return fails("stat") ? -1 : FileCalls::stat(fd, out); }
  ssize_t read(int fd, void* to, size_t bytes) override {
    return interrupted() || fails("read") ? -1 : FileCalls::read(fd, to, std::min(bytes, piece));
  }
  ssize_t write(int fd, const void* from, size_t bytes) override {
    if (interrupted() || fails("write", fd)) return -1;
    if (room == 0) return errno = ENOSPC, -1;
    const ssize_t done = FileCalls::write(fd, from, std::min({bytes, piece, static_cast<size_t>(room)}));
    return room -= static_cast<uint64_t>(std::max<ssize_t>(done, 0)), done;
  }
  int lock(int fd) override { return fails("lock") ? -1 : FileCalls::lock(fd); }
  int fsync(int fd) override { return interrupted() || fails("fsync") ? -1 : FileCalls::fsync(fd); }
  int close(int fd) override {  // like Linux: the descriptor is gone even when close fails
    const bool failing = fails("close");
    const int result = FileCalls::close(fd);
    return failing ? (errno = error, -1) : result;
  }
  int rename(const char* from, const char* to) override {
    return fails("rename") ? -1 : FileCalls::rename(from, to);
  }
  int unlink(const char* path) override { return fails("unlink") ? -1 : FileCalls::unlink(path); }
  int probe(pid_t process) override { return fails("probe") ? -1 : FileCalls::probe(process); }
  int list(const char* directory, std::vector<std::string>& names) override {
    return fails("list") ? -1 : FileCalls::list(directory, names);
  }
};

// Runs `work` in a child process; true when it was killed, false when it came to its end.
template <class Work>
bool dies(Work work) {
  const pid_t child = ::fork();
  if (child == 0) {
    try {
      work();
    } catch (...) {
      ::_exit(1);
    }
    ::_exit(0);
  }
  int status = 0;
  if (child == -1 || ::waitpid(child, &status, 0) != child) throw std::runtime_error("fork or waitpid");
  if (WIFEXITED(status) && WEXITSTATUS(status) != 0) throw std::runtime_error("the child threw");
  return WIFSIGNALED(status);
}

// The message of the Error that `work` throws, after checking its exit code; "" when nothing is thrown.
template <class Work>
std::string refusal(Exit code, Work work) {
  try {
    work();
  } catch (const Error& error) {
    if (error.code() != code) return "wrong exit code for: " + std::string(error.what());
    return error.what();
  }
  return "";
}

}  // namespace stopgrad
