#pragma once
// One block of CUDA threads, run as fibers on one processor: barriers, warp operations, shared memory, and
// the order in which threads take their turns. What CUDA leaves open, the seed decides.
#include <vector_types.h>

#include <cstdint>
#include <cstdlib>
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

inline constexpr unsigned kProcessors = 4;  // of the device

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

enum class State : uint8_t { fresh, ready, at_barrier, in_warp, at_grid_barrier, awaits_kernel, done };

struct Thread {
  uint3 index;
  int warp, lane;
  State state;
  int votes;  // of the barrier just passed
  Place place;
  Fiber fiber;
};

/// How a launch stands to others.
struct Manner {
  bool together = false;  // cooperative: all blocks are alive at once and can wait for each other
  bool waits = false;  // a thread touches no memory of the device before it has waited for the kernel before
  bool overlaps = false;  // may start before that one has ended
};

/// What a kernel launch is, without its types.
struct Launch {
  const char* name;
  Manner manner;
  dim3 grid, block;
  size_t dynamic_shared;
  void (*body)(const void* arguments);
  std::shared_ptr<const void> arguments;
  uint64_t seed;
};

class Block {
 public:
  /// The block whose turn it is.
  static Block& current() { return *current_; }

  /// Puts block `number` of the launch in here. `identity` 0 or 1: who its threads are, see ordering.md.
  void start(const Launch& launch, uint64_t number, int identity);
  /// Runs until all threads have returned (false), or all wait at the grid's barrier or for the kernel before
  /// (true). Throws Error.
  bool advance();
  /// The kernel before has ended.
  void release_kernel();
  /// Ends a block whose threads have returned, after a last look at its memory. Throws Error.
  void finish();
  /// Ends it wherever it stands.
  void clean_up();
  /// Lets the threads of all these blocks, which wait at the grid's barrier, go on. Throws Error.
  static void release_grid(const Launch& launch, Block* const* blocks, size_t count);
  /// Order of a launch against what came before and comes after it.
  static void begin_launch();
  static void end_launch() { acquire(&end_tag_); }

  // What kernels reach through intrinsics.h.
  int barrier(bool predicate, Place place);
  void grid_barrier(Place place);
  void await_kernel(Place place);
  Meeting* meet(WarpOperation operation, uint32_t mask, uint64_t value, Place place);
  void leave(Meeting* meeting);
  void* shared(const void* key, size_t bytes, size_t alignment, const char* name);
  void* dynamic_shared() { return shared(&dynamic_key_, 0, 1, ""); }
  /// The running thread found an error. Its stack is left as it stands, so nothing there may own memory.
  [[noreturn]] void stop(std::string what);

  const Launch* launch = nullptr;
  uint3 index{};
  Thread* thread = nullptr;

 private:
  static void enter_thread();
  void run_threads();
  void resume(Thread& thread);
  void wait();
  void release_barrier(Place last);
  void check_mask(uint32_t mask, Place place);
  std::string stuck() const;
  std::string where(const Thread& thread) const;

  std::vector<Thread> threads_;
  std::vector<int> warp_order_, lane_order_;
  std::vector<std::vector<Meeting*>> open_;  // per warp
  FiberHost host_;
  SharedMemory memory_;
  int count_ = 0, done_ = 0, at_barrier_ = 0, outside_ = 0, votes_ = 0, identity_ = 0;
  bool may_touch_ = false;  // memory of the device
  uint64_t barriers_ = 0;
  std::string error_;
  struct Free {
    void operator()(char* at) const { std::free(at); }
  };
  std::unique_ptr<char, Free> barrier_tags_;  // fresh in every launch: nothing was ordered at it before
  char dynamic_key_ = 0;

  static Block* current_;
  static char launch_tag_, end_tag_;  // of the launch that runs, and:
  static char* grid_tags_;
  static uint64_t grid_barriers_;
};

/// A number that looks random, from a number (splitmix64).
inline uint64_t mix(uint64_t x) {
  x += 0x9e3779b97f4a7c15;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

}  // namespace emulator
