#include "tests/emulator/launch.h"

#include <numeric>
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
  Block& block = Block::current();
  block.begin_launch();
  struct End {  // also when a kernel has failed
    Block& block;
    ~End() { block.end_launch(); }
  } const end{block};
  for (uint64_t i = 0; i < count; ++i) block.run(launch, (start + i * step) % count);
}
}  // namespace

cudaError_t launch_blocks(Launch launch, cudaStream_t stream) {
  if (const cudaError_t failed = next_call("cudaLaunchKernel")) return failed;
  check_shape(launch);
  launch.seed = mix(options().seed ^ mix(launches++));
  return enqueue(stream, [launch] { run_blocks(launch); });
}

}  // namespace emulator
