#include "tests/emulator/launch.h"

#include <deque>
#include <numeric>
#include <optional>
#include <string>

#include "tests/emulator/runtime_calls.h"

namespace emulator {

namespace {
uint64_t launches = 0;

void check_shape(const Launch& launch) {
  const dim3 g = launch.grid, b = launch.block;
  const bool empty = !g.x || !g.y || !g.z || !b.x || !b.y || !b.z;
  if (empty || b.x * b.y * b.z > 1024 || b.z > 64 || g.x > 0x7fffffffu || g.y > 65535 || g.z > 65535)
    throw Error(std::string(launch.name) + ": invalid launch, grid (" + std::to_string(g.x) + "," +
                std::to_string(g.y) + "," + std::to_string(g.z) + "), block (" + std::to_string(b.x) + "," +
                std::to_string(b.y) + "," + std::to_string(b.z) + ")");
  const uint64_t blocks = uint64_t{g.x} * g.y * g.z;
  if (launch.manner.together && blocks > kProcessors)
    throw Error(std::string(launch.name) + ": a cooperative launch of " + std::to_string(blocks) +
                " blocks, and the device has " + std::to_string(kProcessors) + " processors");
}

/// Kept for the process, so that fibers and their stacks are made once.
std::deque<Block>& blocks() {
  static std::deque<Block> made(1);
  return made;
}

/// Kernels run in the order of the stream; one that could start before that must not notice. `closed`: up to
/// its wait the block finds the device's memory closed, which costs two system calls per allocation.
void start_block(Block& block, const Launch& launch, uint64_t number, int identity, bool closed) {
  block.start(launch, number, identity);
  if (!launch.manner.waits) return;
  {
    std::optional<ClosedScope> scope;
    if (closed) scope.emplace();
    block.advance();
  }
  block.release_kernel();
}

/// Each block in turn runs until it waits for the others.
void run_together(const Launch& launch, const std::vector<uint64_t>& order) {
  while (blocks().size() < order.size()) blocks().emplace_back();
  std::vector<Block*> all;
  struct End {
    std::vector<Block*>& all;
    ~End() {
      for (Block* block : all) block->clean_up();
    }
  } const end{all};
  for (const uint64_t number : order) {
    all.push_back(&blocks()[all.size()]);
    start_block(*all.back(), launch, number, 0, all.size() == 1);
  }
  for (;;) {
    size_t waiting = 0;
    for (Block* block : all) waiting += block->advance();
    if (waiting == 0) break;
    if (waiting < all.size())
      throw Error(std::string(launch.name) + ": " + std::to_string(waiting) + " of " +
                  std::to_string(all.size()) +
                  " blocks wait at the grid's barrier, the others have returned");
    Block::release_grid(launch, all.data(), all.size());
  }
  for (Block* block : all) block->finish();
}

/// Blocks start, start + step, start + 2 step, ... modulo their number: a cheap permutation.
void run_blocks(const Launch& launch) {
  const uint64_t count = uint64_t{launch.grid.x} * launch.grid.y * launch.grid.z;
  uint64_t start = 0, step = 1;
  if (options().shuffle && count > 1) {
    start = mix(launch.seed) % count;
    uint64_t state = launch.seed;
    do state = mix(state), step = 1 + state % (count - 1);
    while (std::gcd(step, count) != 1);
  }
  const DeviceScope scope(launch.name);
  Block::begin_launch();
  struct End {  // also when a kernel has failed
    ~End() { Block::end_launch(); }
  } const end;
  if (launch.manner.together) {
    std::vector<uint64_t> order;
    for (uint64_t i = 0; i < count; ++i) order.push_back((start + i * step) % count);
    return run_together(launch, order);
  }
  Block& block = blocks().front();
  for (uint64_t i = 0; i < count; ++i) {
    const uint64_t number = (start + i * step) % count;
    start_block(block, launch, number, static_cast<int>(number & 1), i == 0);
    block.advance();
    block.finish();
  }
}
}  // namespace

cudaError_t launch_blocks(Launch launch, cudaStream_t stream) {
  const Manner manner = launch.manner;
  if (const cudaError_t failed =
          next_call(manner.overlaps ? "cudaLaunchKernel, overlapping" : "cudaLaunchKernel"))
    return failed;
  check_shape(launch);
  if (manner.overlaps && (manner.together || !follows_kernel(stream)))
    throw Error(
        std::string(launch.name) + ": launched to overlap, but " +
        (manner.together ? "it is cooperative" : "what comes before it on the stream is no kernel of ours"));
  launch.seed = mix(options().seed ^ mix(launches++));
  return enqueue(
      stream, [launch] { run_blocks(launch); }, !manner.together);
}

}  // namespace emulator
