#pragma once
// A function on a stack of its own that can give way in the middle: one CUDA thread.
#include <cstddef>
#include <vector>

#include "tests/emulator/sanitizers.h"

#if !defined(__x86_64__)
#include <ucontext.h>
#endif

namespace emulator {

/// Where a stack stands while another one runs.
struct SavedContext {
#if defined(__x86_64__)
  void* stack_pointer = nullptr;
#else
  ucontext_t context;
#endif
};

struct Stack {
  char* base = nullptr;  // a page that nobody may touch lies below
  size_t bytes = 0;
};

class FiberHost;

class Fiber {
 public:
  /// Prepares `entry` on a fresh stack. `identity` 0 or 1: who it is to ThreadSanitizer, see ordering.md.
  void start(FiberHost& host, void (*entry)(), int identity);
  bool has_stack() const { return stack_.base != nullptr; }
  /// Runs until it gives way; called on the host's stack.
  void resume(FiberHost& host);
  /// Back to the host; called on the fiber's stack. `last`: for good.
  void give_way(FiberHost& host, bool last = false);
  /// The first thing the entry does.
  void arrive(FiberHost& host);
  /// Takes the stack back. `abandoned`: the fiber never came to its end, so its identities are not used
  /// again.
  void retire(FiberHost& host, bool abandoned);

 private:
  SavedContext saved_;
  Stack stack_;
  void* fake_stack_ = nullptr;  // AddressSanitizer's
  // ThreadSanitizer's: who it is, and a stack for each; on one stack, two identities would seem to race.
  void* identities_[2] = {nullptr, nullptr};
  Stack stacks_[2];
  int identity_ = 0;
};

/// The stack that resumes fibers, and the pool of their stacks.
class FiberHost {
 public:
  FiberHost() = default;
  ~FiberHost();
  FiberHost(const FiberHost&) = delete;
  FiberHost& operator=(const FiberHost&) = delete;
  /// Call before a round of resumes.
  void enter();

 private:
  friend class Fiber;
  Stack take_stack();

  SavedContext saved_;
  std::vector<Stack> free_;
  void* fake_stack_ = nullptr;
  const void* bottom_ = nullptr;
  size_t bytes_ = 0;
  void* identity_ = nullptr;
};

}  // namespace emulator
