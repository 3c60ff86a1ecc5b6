// Does the emulated device do what CUDA's documents say? Warps, blocks, grids, atomics, and the runtime.
#include "kernels/gpu.h"  // before CUDA's own headers

#include <cuda_runtime_api.h>

#include <catch2/catch.hpp>
#include <functional>
#include <vector>

#include "kernels/check.h"
#include "tests/cuda/mirror.h"
#include "tests/emulator/device_memory.h"
#include "tests/emulator/runtime_calls.h"

using namespace stopgrad;
using namespace stopgrad::test;

namespace {

constexpr unsigned kAll = 0xffffffffu;
constexpr int kResults = 14;

__global__ void warp_operations(int* out) {
  await_previous_kernel();
  const int lane = static_cast<int>(threadIdx.x);
  int* const mine = out + lane * kResults;
  mine[0] = __shfl_sync(kAll, lane, 5);
  mine[1] = __shfl_sync(kAll, lane, 3, 8);
  mine[2] = __shfl_xor_sync(kAll, lane, 9);
  mine[3] = __shfl_down_sync(kAll, lane, 4);
  mine[4] = __shfl_up_sync(kAll, lane, 4);
  mine[5] = __shfl_down_sync(kAll, lane, 4, 8);
  mine[6] = __shfl_up_sync(kAll, lane, 4, 8);
  mine[7] = static_cast<int>(__ballot_sync(kAll, lane % 3 == 0));
  mine[8] = __any_sync(kAll, lane == 7);
  mine[9] = __any_sync(kAll, lane == 32);
  mine[10] = __all_sync(kAll, lane < 32);
  mine[11] = __all_sync(kAll, lane < 31);
  if (lane < 16)  // halves of a warp with masks of their own, at places of their own
    mine[12] = __shfl_xor_sync(0xffffu, lane, 15);
  else mine[12] = __shfl_xor_sync(0xffff0000u, lane, 15);
  __syncwarp();
  mine[13] = __shfl_sync(kAll, 2.5, 0) == 2.5;
}

__global__ void votes_of_a_block(int* out) {
  await_previous_kernel();
  const int thread = static_cast<int>(threadIdx.x);
  const int count = __syncthreads_count(thread % 3 == 0);
  const int all = __syncthreads_and(thread < 100), any = __syncthreads_or(thread == 99);
  out[thread] = count + 1000 * all + 2000 * any;
}

/// The last block to come adds up what all have left.
__global__ void last_block(float* parts, unsigned* arrived, float* sum) {
  await_previous_kernel();
  SHARED(bool, last);
  if (threadIdx.x == 0) {
    parts[blockIdx.x] = static_cast<float>(blockIdx.x + 1);
    __threadfence();
    last = atomicInc(arrived, gridDim.x - 1) == gridDim.x - 1;
  }
  __syncthreads();
  if (!last) return;
  __threadfence();
  if (threadIdx.x > 0) return;
  *sum = 0;
  for (unsigned i = 0; i < gridDim.x; ++i) *sum += parts[i];
}

/// Running sums over blocks, a round per barrier: in each, a block adds what its neighbour had before it.
__global__ void rounds_of_a_grid(float* value, float* next, int rounds) {
  await_previous_kernel();
  const int block = static_cast<int>(blockIdx.x),
            left = (block + static_cast<int>(gridDim.x) - 1) % static_cast<int>(gridDim.x);
  for (int round = 0; round < rounds; ++round) {
    if (threadIdx.x == 0) next[block] = value[block] + value[left];
    grid_barrier();
    if (threadIdx.x == 0) value[block] = next[block];
    grid_barrier();
  }
}

__global__ void three_dimensions(int* out, int* atomics) {
  await_previous_kernel();
  DYNAMIC_SHARED(int, mirror);
  const dim3 b = blockDim, g = gridDim;
  const unsigned thread = threadIdx.x + b.x * (threadIdx.y + b.y * threadIdx.z), threads = b.x * b.y * b.z;
  const unsigned block = blockIdx.x + g.x * (blockIdx.y + g.y * blockIdx.z);
  mirror[thread] = static_cast<int>(thread);
  __syncthreads();
  out[block * threads + thread] = mirror[threads - 1 - thread] + 1000 * static_cast<int>(block);
  atomicAdd(atomics, 1);
  atomicMax(atomics + 1, static_cast<int>(thread));
  atomicMin(atomics + 2, static_cast<int>(thread));
  atomicOr(atomics + 3, 1 << thread % 8);
  atomicCAS(atomics + 4, 7, 9);
}

__global__ void order_of_arrival(int* next, int* out) {
  await_previous_kernel();
  out[blockIdx.x * blockDim.x + threadIdx.x] = atomicAdd(next, 1);
}

__global__ void step(float* w, float by_value, const float* by_pointer) {
  await_previous_kernel();
  w[0] -= by_value;
  w[1] -= *by_pointer;
}

/// Device memory for a test, from host values.
template <class T>
struct Memory {
  std::vector<T> host;
  Mirror mirror;
  explicit Memory(std::vector<T> values) : host(std::move(values)) { mirror.add(host); }
  T* at() { return mirror(host.data()); }
  const std::vector<T>& fetch() {
    mirror.fetch();
    return host;
  }
};

}  // namespace

TEST_CASE("shuffles and votes of a warp follow CUDA's definition", "[emulator]") {
  Memory<int> out(std::vector<int>(32 * kResults));
  LAUNCH(device(), warp_operations, 1, 32, 0, out.at());
  out.fetch();
  for (int lane = 0; lane < 32; ++lane) {
    const int* got = &out.host[static_cast<size_t>(lane * kResults)];
    const int segment = lane & ~7;
    const std::vector<int> want = {5,
                                   segment + 3,
                                   lane ^ 9,
                                   lane + 4 < 32 ? lane + 4 : lane,
                                   lane >= 4 ? lane - 4 : lane,
                                   lane % 8 + 4 < 8 ? lane + 4 : lane,
                                   lane % 8 >= 4 ? lane - 4 : lane,
                                   0x49249249,
                                   1,
                                   0,
                                   1,
                                   0,
                                   lane ^ 15,
                                   1};
    INFO("lane " << lane);
    CHECK(std::vector<int>(got, got + kResults) == want);
  }
}

TEST_CASE("a barrier counts its threads' votes", "[emulator]") {
  Memory<int> out(std::vector<int>(100));
  LAUNCH(device(), votes_of_a_block, 1, 100, 0, out.at());
  for (const int got : out.fetch()) CHECK(got == 34 + 1000 + 2000);
}

TEST_CASE("the last of many blocks sees what all have written", "[emulator]") {
  Memory<float> parts(std::vector<float>(37)), sum({0});
  Memory<unsigned> arrived({0});
  for (int round = 0; round < 3; ++round) {
    LAUNCH(device(), last_block, 37, 64, 0, parts.at(), arrived.at(), sum.at());
    CHECK(sum.fetch()[0] == 37 * 38 / 2);
    CHECK(arrived.fetch()[0] == 0);
  }
}

TEST_CASE("blocks of a cooperative launch wait for each other", "[emulator]") {
  Memory<float> value({1, 0, 0, 0}), next(std::vector<float>(4));
  LAUNCH_TOGETHER(device(), rounds_of_a_grid, 4, 64, 0, value.at(), next.at(), 3);
  CHECK(value.fetch() == std::vector<float>{1, 3, 3, 1});  // binomial coefficients
  CHECK_THROWS_AS(LAUNCH_TOGETHER(device(), rounds_of_a_grid, 5, 64, 0, value.at(), next.at(), 3),
                  emulator::Error);
  CHECK_THROWS_AS(LAUNCH(device(), rounds_of_a_grid, 4, 64, 0, value.at(), next.at(), 1), emulator::Error);
}

TEST_CASE("grids and blocks have three dimensions, and atomics count every thread", "[emulator]") {
  Memory<int> out(std::vector<int>(2 * 3 * 4 * 60)), atomics({0, -1, 99, 0, 7});
  LAUNCH(device(), three_dimensions, dim3(2, 3, 4), dim3(4, 5, 3), 60 * sizeof(int), out.at(), atomics.at());
  out.fetch();
  for (int i = 0; i < static_cast<int>(out.host.size()); ++i)
    REQUIRE(out.host[static_cast<size_t>(i)] == 59 - i % 60 + 1000 * (i / 60));
  CHECK(atomics.fetch() == std::vector<int>{24 * 60, 59, 0, 255, 9});
}

TEST_CASE("the seed decides the order of threads, the same one every time", "[emulator]") {
  const uint64_t seed = emulator::options().seed;
  const auto order = [](uint64_t with) {
    emulator::options().seed = with;
    Memory<int> next({0}), out(std::vector<int>(4 * 64));
    LAUNCH(device(), order_of_arrival, 4, 64, 0, next.at(), out.at());
    return out.fetch();
  };
  std::vector<std::vector<int>> seen;
  for (const uint64_t with : {11, 12, 13}) seen.push_back(order(with));
  emulator::options().seed = seed;
  CHECK(seen[0] != seen[1]);
  CHECK(seen[1] != seen[2]);
  emulator::options().shuffle = false;
  const std::vector<int> plain = order(seed);
  emulator::options().shuffle = true;
  for (int i = 0; i < 256; ++i) CHECK(plain[static_cast<size_t>(i)] == i);
}

TEST_CASE("launches of impossible shape are refused", "[emulator]") {
  Memory<int> out(std::vector<int>(2048));
  for (const auto& [grid, block] :
       {std::pair{dim3(1), dim3(1025)}, {dim3(0), dim3(32)}, {dim3(1, 70000), dim3(1)}})
    CHECK_THROWS_AS(LAUNCH(device(), votes_of_a_block, grid, block, 0, out.at()), emulator::Error);
}

TEST_CASE("a captured launch keeps its values and reads memory anew at every replay", "[emulator]") {
  Memory<float> w({0, 0}), rate({1});
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t replay = nullptr;
  float by_value = 1;
  REQUIRE(cudaStreamBeginCapture(device().stream(), cudaStreamCaptureModeThreadLocal) == cudaSuccess);
  LAUNCH(device(), step, 1, 1, 0, w.at(), by_value, rate.at());
  REQUIRE(cudaStreamEndCapture(device().stream(), &graph) == cudaSuccess);
  REQUIRE(cudaGraphInstantiate(&replay, graph, 0) == cudaSuccess);
  CHECK(w.fetch() == std::vector<float>{0, 0});  // recorded, not run
  by_value = 10;
  const float ten = 10;
  for (int i = 0; i < 2; ++i) {
    CHECK(cudaGraphLaunch(replay, device().stream()) == cudaSuccess);
    device().copy_to_device(rate.at(), &ten, sizeof ten);
  }
  CHECK(w.fetch() == std::vector<float>{-2, -11});
  cudaGraphExecDestroy(replay);
  cudaGraphDestroy(graph);
}

TEST_CASE("what CUDA forbids during capture loses the capture", "[emulator]") {
  Memory<float> there({1});
  void* memory = nullptr;
  float here = 0;
  const cudaStream_t stream = device().stream();
  const std::vector<std::function<cudaError_t()>> calls = {
      [&] { return cudaStreamSynchronize(stream); }, [&] { return cudaMalloc(&memory, 100); },
      [&] { return cudaFree(nullptr); }, [&] { return cudaMallocHost(&memory, 100); },
      [&] { return cudaMemcpyAsync(&here, there.at(), sizeof here, cudaMemcpyDeviceToHost, stream); }};
  for (const auto& call : calls) {
    cudaGraph_t graph = nullptr;
    REQUIRE(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal) == cudaSuccess);
    CHECK(call() == cudaErrorStreamCaptureUnsupported);
    CHECK(cudaStreamEndCapture(stream, &graph) == cudaErrorStreamCaptureInvalidated);
    CHECK(graph == nullptr);
    cudaGetLastError();
    CHECK(cudaStreamSynchronize(stream) == cudaSuccess);
  }
  void* pinned = nullptr;  // whose copies a graph may hold
  cudaGraph_t graph = nullptr;
  REQUIRE(cudaMallocHost(&pinned, sizeof here) == cudaSuccess);
  REQUIRE(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal) == cudaSuccess);
  CHECK(cudaMemcpyAsync(pinned, there.at(), sizeof here, cudaMemcpyDeviceToHost, stream) == cudaSuccess);
  CHECK(cudaStreamEndCapture(stream, &graph) == cudaSuccess);
  cudaGraphDestroy(graph);
  CHECK(cudaFreeHost(pinned) == cudaSuccess);
  CHECK(cudaFreeHost(&here) == cudaErrorInvalidValue);
  cudaGetLastError();
}

TEST_CASE("copies that leave an allocation or go the wrong way are refused", "[emulator]") {
  Memory<float> there({1, 2, 3, 4});
  float here[4] = {};
  CHECK_THROWS_AS(device().copy_to_host(here, there.at() + 2, sizeof here), Error);
  CHECK_THROWS_AS(device().copy_to_device(here, there.at(), sizeof here), Error);
  CHECK_THROWS_AS(device().copy_on_device(there.at(), here, sizeof here), Error);
  CHECK_THROWS_AS(device().fill(here, 0, sizeof here), Error);
  CHECK(there.fetch() == std::vector<float>{1, 2, 3, 4});
}

TEST_CASE("fresh device memory is full of NaN", "[emulator]") {
  auto* const memory = static_cast<float*>(device().allocate(3 * sizeof(float)));
  float values[3] = {};
  device().copy_to_host(values, memory, sizeof values);
  device().free(memory);
  for (const float v : values) CHECK(v != v);
}
