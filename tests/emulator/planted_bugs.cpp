// Kernels with one mistake each. `planted_bugs N` runs the N-th on the emulated device: exit 0 quiet, 2 the
// emulator reported it, 3 a NaN or a wrong sum in the output; a sanitizer's report has exit codes of its own.
// test_planted_bugs.sh holds what must happen.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "kernels/gpu.h"
#include "tests/emulator/device_memory.h"

namespace {

constexpr int kThreads = 256, kBlocks = 4;
#define KERNEL(name) \
  __global__ void name([[maybe_unused]] float* out, [[maybe_unused]] const float* in, [[maybe_unused]] int n)

__device__ int global_index() {
  return static_cast<int>(blockIdx.x) * kThreads + static_cast<int>(threadIdx.x);
}

KERNEL(correct) {
  SHARED(float, s, [kThreads]);
  s[threadIdx.x] = in[threadIdx.x];
  __syncthreads();
  for (unsigned half = kThreads / 2; half; half /= 2) {
    if (threadIdx.x < half) s[threadIdx.x] += s[threadIdx.x + half];
    __syncthreads();
  }
  out[global_index()] = s[0];
}
KERNEL(no_barrier_in_a_reduction) {
  SHARED(float, s, [kThreads]);
  s[threadIdx.x] = in[threadIdx.x];
  __syncthreads();
  for (unsigned half = kThreads / 2; half; half /= 2)
    if (threadIdx.x < half) s[threadIdx.x] += s[threadIdx.x + half];
  __syncthreads();
  out[global_index()] = s[0];
}
KERNEL(no_barrier_before_a_read) {
  SHARED(float, s, [kThreads]);
  s[threadIdx.x] = in[threadIdx.x];
  out[global_index()] = s[kThreads - 1 - threadIdx.x];
}
KERNEL(write_after_read) {
  SHARED(float, s, [kThreads]);
  float sum = 0;
  for (int round = 0; round < 3; ++round) {
    s[threadIdx.x] = in[threadIdx.x] * static_cast<float>(round);
    __syncthreads();
    sum += s[(threadIdx.x + 64) % kThreads];
  }
  out[global_index()] = sum;
}
KERNEL(no_syncwarp) {
  SHARED(float, s, [kThreads]);
  s[threadIdx.x] = in[threadIdx.x];
  out[global_index()] = s[threadIdx.x ^ 1];
}
KERNEL(shuffle_taken_for_a_fence) {
  SHARED(float, s, [kThreads]);
  s[threadIdx.x] = in[threadIdx.x];
  const int one = __shfl_sync(~0u, 1, 0);
  out[global_index()] = s[threadIdx.x ^ static_cast<unsigned>(one)];
}
KERNEL(blocks_add_without_atomic) {
  if (threadIdx.x == 0) out[0] += in[blockIdx.x];
}
KERNEL(barrier_in_a_branch) {
  if (threadIdx.x < 100) __syncthreads();
  else __syncthreads();
  out[global_index()] = 1;
}
KERNEL(return_before_a_barrier) {
  if (global_index() >= n) return;
  __syncthreads();
  out[global_index()] = 1;
}
KERNEL(barrier_in_an_uneven_loop) {
  for (unsigned i = threadIdx.x; i < kThreads + 7; i += kThreads) __syncthreads();
  out[global_index()] = 1;
}
KERNEL(full_mask_in_a_partial_warp) { out[threadIdx.x] = __shfl_xor_sync(~0u, in[threadIdx.x], 1); }
KERNEL(full_mask_in_a_branch) {
  float v = in[threadIdx.x];
  if (threadIdx.x % 32 < 16) v += __shfl_down_sync(~0u, v, 8);
  out[global_index()] = v;
}
KERNEL(shared_write_past_the_end) {
  SHARED(float, s, [kThreads]);
  float* const p = s;
  p[threadIdx.x + 1] = 1;
  __syncthreads();
  out[global_index()] = 1;
}
KERNEL(index_past_an_inner_bound) {
  SHARED(float, s, [8][32]);
  s[threadIdx.x / 32][threadIdx.x % 32 + 1] = 1;
  __syncthreads();
  out[global_index()] = 1;
}
KERNEL(global_write_past_the_end) {
  if (global_index() < n) out[global_index() + 1] = 1;
}
KERNEL(global_read_past_the_end) { out[global_index()] = in[global_index() + 1]; }
KERNEL(shared_memory_never_written) {
  SHARED(float, s, [kThreads]);
  if (threadIdx.x < 200) s[threadIdx.x] = in[threadIdx.x];
  __syncthreads();
  out[global_index()] = s[kThreads - 1 - threadIdx.x];
}
KERNEL(misaligned_vector_load) {
  const float4 v = *reinterpret_cast<const float4*>(in + 1 + 4 * (threadIdx.x % 32));
  out[global_index()] = v.x;
}
KERNEL(too_much_shared_memory) {
  SHARED(float, s, [60000]);
  s[threadIdx.x] = 1;
  __syncthreads();
  out[global_index()] = s[threadIdx.x];
}
/// Each block sums what all blocks have left.
__device__ void sum_of_blocks(float* out, const float* in, bool wait) {
  if (threadIdx.x == 0) out[kThreads * static_cast<int>(blockIdx.x) + 1] = in[blockIdx.x];
  if (wait) grid_barrier();
  if (threadIdx.x > 0) return;
  float sum = 0;
  for (int block = 0; block < kBlocks; ++block) sum += out[kThreads * block + 1];
  out[global_index()] = sum;
}
KERNEL(grid_barrier_in_its_place) { sum_of_blocks(out, in, true); }
KERNEL(no_grid_barrier) { sum_of_blocks(out, in, false); }
KERNEL(grid_barrier_in_half_of_the_blocks) {
  if (blockIdx.x < 2) grid_barrier();
  out[global_index()] = 1;
}
KERNEL(grid_barrier_in_half_of_a_block) {
  if (threadIdx.x < 100) grid_barrier();
  out[global_index()] = 1;
}
KERNEL(grid_barriers_in_two_places) {
  if (blockIdx.x < 2) grid_barrier();
  else grid_barrier();
  out[global_index()] = 1;
}
KERNEL(wait_in_its_place) {
  await_previous_kernel();
  out[global_index()] = in[global_index()];
}
KERNEL(read_before_the_wait) {
  const float v = in[global_index()];
  await_previous_kernel();
  out[global_index()] = v;
}
KERNEL(no_wait) {}
KERNEL(wait_in_half_of_a_block) {
  if (threadIdx.x < 100) await_previous_kernel();
}
KERNEL(barrier_in_the_other_half) {
  if (threadIdx.x < 100) await_previous_kernel();
  else __syncthreads();
}
KERNEL(plain) { out[global_index()] = in[global_index()]; }

struct Bug {
  const char* name;
  void (*kernel)(float*, const float*, int);
  double sum = 0;  // of the output, where the kernel runs to its end and the order of threads must not matter
  enum Special { none, host_pointer, host_read, freed, together, waits, overlaps } special = none;
};
const Bug kBugs[] = {
    {"correct", correct},
    {"no barrier in a reduction", no_barrier_in_a_reduction},
    {"no barrier before a read", no_barrier_before_a_read},
    {"write after read", write_after_read},
    {"no syncwarp", no_syncwarp},
    {"shuffle taken for a fence", shuffle_taken_for_a_fence},
    {"blocks add without an atomic", blocks_add_without_atomic},
    {"barrier in a branch", barrier_in_a_branch},
    {"return before a barrier", return_before_a_barrier},
    {"barrier in an uneven loop", barrier_in_an_uneven_loop},
    {"full mask in a partial warp", full_mask_in_a_partial_warp},
    {"full mask in a branch", full_mask_in_a_branch},
    {"shared write past the end", shared_write_past_the_end},
    {"index past an inner bound", index_past_an_inner_bound},
    {"global write past the end", global_write_past_the_end},
    {"global read past the end", global_read_past_the_end},
    {"shared memory never written", shared_memory_never_written},
    {"misaligned vector load", misaligned_vector_load},
    {"too much shared memory", too_much_shared_memory},
    {"grid barrier in its place", grid_barrier_in_its_place, 0, Bug::together},
    {"no grid barrier", no_grid_barrier, 0, Bug::together},
    {"grid barrier in half of the blocks", grid_barrier_in_half_of_the_blocks, 0, Bug::together},
    {"grid barrier in half of a block", grid_barrier_in_half_of_a_block, 0, Bug::together},
    {"grid barriers in two places", grid_barriers_in_two_places, 0, Bug::together},
    {"grid barrier without cooperation", grid_barrier_in_its_place},
    {"wait in its place", wait_in_its_place, 0, Bug::waits},
    {"read before the wait", read_before_the_wait, 0, Bug::waits},
    {"no wait", no_wait, 0, Bug::waits},
    {"wait in half of a block", wait_in_half_of_a_block, 0, Bug::waits},
    {"barrier in the other half", barrier_in_the_other_half, 0, Bug::waits},
    {"overlap with a memset", wait_in_its_place, 0, Bug::overlaps},
    {"kernel given a host pointer", plain, 0, Bug::host_pointer},
    {"host code reads device memory", plain, 0, Bug::host_read},
    {"kernel given freed memory", plain, 0, Bug::freed},
};
constexpr int kCount = sizeof kBugs / sizeof *kBugs;

/// What the correct kernel of the same shape writes: the planted ones differ from it or from themselves.
int judge(const Bug& bug, const std::vector<float>& out, double want) {
  double sum = 0;
  for (const float v : out) sum += v;
  const bool of_blocks = bug.kernel == grid_barrier_in_its_place || bug.kernel == no_grid_barrier;
  const bool wrong = std::isnan(sum) || (of_blocks && sum != 4 * (1 + 2 + 3 + 4) + 1 + 2 + 3 + 4) ||
                     (bug.kernel == no_barrier_in_a_reduction && sum != want) ||
                     (bug.kernel == write_after_read && sum != 3 * want / kThreads);
  std::printf("%s: %s\n", bug.name, wrong ? "wrong numbers" : "quiet");
  return wrong ? 3 : 0;
}

int run(const Bug& bug) {
  using namespace stopgrad::cuda;
  Context context;
  const bool partial = bug.kernel == full_mask_in_a_partial_warp;
  const int blocks = partial ? 1 : kBlocks, threads = partial ? 48 : kThreads, n = blocks * threads;
  std::vector<float> host(static_cast<size_t>(n));
  double want = 0;
  for (int i = 0; i < n; ++i) {
    host[static_cast<size_t>(i)] = static_cast<float>(1 + i % 7);
    if (i < kThreads) want += kBlocks * kThreads * host[static_cast<size_t>(i)];
  }
  const size_t bytes = host.size() * sizeof(float);
  auto* in = static_cast<float*>(context.allocate(bytes));
  auto* out = static_cast<float*>(context.allocate(bytes));
  context.copy_to_device(in, host.data(), bytes);
  context.fill(out, 0, bytes);
  if (bug.special == Bug::host_read) return in[0] > 0 ? 0 : 1;
  if (bug.special == Bug::freed) context.free(in);
  const int limit = bug.kernel == return_before_a_barrier ? n - 10 : n;
  const bool overlaps = bug.special == Bug::overlaps;
  const emulator::Manner manner{bug.special == Bug::together, overlaps || bug.special == Bug::waits,
                                overlaps};
  const float* const given = bug.special == Bug::host_pointer ? host.data() : in;
  context.check(
      emulator::launch(bug.name, manner, bug.kernel, dim3(static_cast<unsigned>(blocks)),
                       dim3(static_cast<unsigned>(threads)), 0, context.stream(), out, given, limit),
      bug.name);
  context.copy_to_host(host.data(), out, bytes);
  return judge(bug, host, want);
}

}  // namespace

int main(int argc, char** argv) {
  const int number = argc > 1 ? std::atoi(argv[1]) : -1;
  if (number < 0 || number >= kCount) {
    for (int i = 0; i < kCount; ++i) std::printf("%d %s\n", i, kBugs[i].name);
    return 1;
  }
  try {
    return run(kBugs[number]);
  } catch (const emulator::Error& error) {
    std::printf("%s\n", error.what());
    return 2;
  }
}
