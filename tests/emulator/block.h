#pragma once
// One block of CUDA threads, run as fibers on one processor: barriers, warp operations, shared memory, and
// the order in which threads take their turns. What CUDA leaves open, the seed decides.
#include <vector_types.h>

#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/emulator/fiber.h"
#include "tests/emulator/shared_memory.h"

namespace emulator {

/// A kernel did what CUDA forbids or leaves undefined. Says kernel, place, thread and block.
struct Error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct Options {
  uint64_t seed = 1;    // order of blocks, warps and lanes; EMULATOR_SEED in the environment
  bool shuffle = true;  // false: 0, 1, 2, ...
  size_t shared_limit = size_t{227} << 10;  // bytes of a block, as on compute capability 9.0
};
Options& options();

/// Where a thread waits: a line of the kernel's source.
struct Place {
  const char* file = "";
  int line = 0;
  bool operator==(const Place& other) const;
};
std::string to_string(const Place& place);

enum class WarpOperation : uint8_t { shuffle, sync, vote };

/// Lanes of one warp at one place with one mask; the last one to come opens it for all.
struct Meeting {
  uint32_t mask, arrived = 0, left = 0;
  WarpOperation operation;
  Place place;
  uint64_t value[32];
};

enum class State : uint8_t { fresh, ready, at_barrier, in_warp, done };

struct Thread {
  uint3 index;
  int warp, lane;
  State state;
  int votes;  // of the barrier just passed
  Place place;
  Fiber fiber;
};

/// What a kernel launch is, without its types.
struct Launch {
  const char* name;
  dim3 grid, block;
  size_t dynamic_shared;
  void (*body)(const void* arguments);
  std::shared_ptr<const void> arguments;
  uint64_t seed;
};

class Block {
 public:
  /// The block that runs now; there is one at a time.
  static Block& current();

  /// Runs block `number` of the launch to its end. Throws Error.
  void run(const Launch& launch, uint64_t number);
  /// Order of a launch against what came before and comes after it.
  void begin_launch() { release(&launch_tag_); }
  void end_launch() { acquire(&end_tag_); }

  // What kernels reach through intrinsics.h.
  int barrier(bool predicate, Place place);
  Meeting* meet(WarpOperation operation, uint32_t mask, uint64_t value, Place place);
  void leave(Meeting* meeting);
  void* shared(const void* key, size_t bytes, size_t alignment, const char* name);
  void* dynamic_shared() { return shared(&dynamic_key_, 0, 1, ""); }
  [[noreturn]] void stop(const std::string& what);  // the running thread found an error

  const Launch* launch = nullptr;
  uint3 index{};
  Thread* thread = nullptr;

 private:
  static void enter_thread();
  void set_up(const Launch& launch, uint64_t number);
  void run_threads();
  void resume(Thread& thread);
  void wait();
  void release_barrier(Place last);
  void check_mask(uint32_t mask, Place place);
  void clean_up();
  std::string stuck() const;
  std::string where(const Thread& thread) const;

  std::vector<Thread> threads_;
  std::vector<int> warp_order_, lane_order_;
  std::vector<std::vector<Meeting*>> open_;  // per warp
  FiberHost host_;
  SharedMemory memory_;
  int count_ = 0, done_ = 0, at_barrier_ = 0, votes_ = 0;
  uint64_t barriers_ = 0, number_ = 0;
  std::string error_;
  char* barrier_tags_ = nullptr;
  char launch_tag_ = 0, end_tag_ = 0, dynamic_key_ = 0;
};

/// A number that looks random, from a number (splitmix64).
inline uint64_t mix(uint64_t x) {
  x += 0x9e3779b97f4a7c15;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

}  // namespace emulator
