// What the kernels that walk row by row share.
#include "kernels/pairs.cuh"
#include "tests/cuda/mirror.h"

using namespace stopgrad;
using namespace stopgrad::test;
using namespace stopgrad::cuda::rows;

namespace {

__global__ void two_largest(const float* x, float* out) {
  await_previous_kernel();
  float first[1] = {x[threadIdx.x]}, second[1] = {x[kThreads + threadIdx.x]};
  largest<true>(first);
  largest<true>(second);
  out[threadIdx.x] = first[0];
  out[kThreads + threadIdx.x] = second[0];
}

__global__ void two_sums(const float* x, float* out) {
  await_previous_kernel();
  float first[1] = {x[threadIdx.x]}, second[1] = {x[kThreads + threadIdx.x]};
  sum<true>(first);
  sum<true>(second);
  out[threadIdx.x] = first[0];
  out[kThreads + threadIdx.x] = second[0];
}

}  // namespace

TEST_CASE("a block may ask for two sums, and for the largest of two, one after the other",
          "[emulator][cosine_loss]") {
  std::vector<float> x(2 * kThreads), out(2 * kThreads);
  for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i);
  const auto check = [&](auto kernel, float first, float second) {
    Mirror mirror;
    mirror.add(x, out);
    LAUNCH(device(), kernel, 1, kThreads, 0, mirror(x.data()), mirror(out.data()));
    mirror.fetch();
    CHECK(std::count(out.begin(), out.begin() + kThreads, first) == kThreads);
    CHECK(std::count(out.begin() + kThreads, out.end(), second) == kThreads);
  };
  check(two_largest, kThreads - 1, 2 * kThreads - 1);
  check(two_sums, 127 * 128 / 2, 127 * 128 / 2 + 128 * 128);
}

TEST_CASE("pairs are written side by side unless two of them share a gradient", "[emulator][cosine_loss]") {
  float memory[2 * kMaxPairs];
  CosineLossBackward<float> call{.pairs = kMaxPairs};
  for (int k = 0; k < kMaxPairs; ++k) call.dp[k] = memory + k, call.dz[k] = memory + kMaxPairs + k;
  CHECK(pairs_at_once(call) == kMaxPairs);
  call.dz[2] = call.dp[2];  // one thread writes both
  CHECK(pairs_at_once(call) == kMaxPairs);
  call.dz[2] = nullptr;
  call.dz[7] = nullptr;
  CHECK(pairs_at_once(call) == kMaxPairs);
  call.dz[7] = call.dp[0];
  CHECK(pairs_at_once(call) == 1);
}
