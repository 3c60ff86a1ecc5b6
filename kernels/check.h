#pragma once
// Errors: one exception type that carries the program's exit code, and ENSURE to raise it.
#include <fmt/format.h>

#include <stdexcept>
#include <string>

namespace stopgrad {

/// Exit codes of the program; scripts and schedulers branch on them.
enum class Exit {
  ok = 0,
  failed = 1,      // the run failed for another reason than those below
  usage = 2,       // wrong command line
  config = 3,      // wrong recipe
  data = 4,        // data set or image unreadable
  checkpoint = 5,  // checkpoint or weight file refused
  diverged = 6,    // NaN or infinity in the loss, or a collapse alarm asked to be fatal
  memory = 7,      // out of memory, of the host or the device
  device = 8,      // device fault
  write = 9,       // could not write a file
};

/// What went wrong, where, and what to do about it.
class Error : public std::runtime_error {
 public:
  Error(Exit code, const std::string& message) : std::runtime_error(message), code_(code) {}
  Exit code() const { return code_; }

 private:
  Exit code_;
};

template <class... Args>
[[noreturn]] void fail(Exit code, fmt::format_string<Args...> format, Args&&... args) {
  throw Error(code, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace stopgrad

/// ENSURE(condition, "op: what is wrong with {} and {}, do this", a, b): throws Error(Exit::failed).
#define ENSURE(condition, ...)                                                 \
  do {                                                                         \
    if (!(condition)) ::stopgrad::fail(::stopgrad::Exit::failed, __VA_ARGS__); \
  } while (false)
