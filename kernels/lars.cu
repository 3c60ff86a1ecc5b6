#include "kernels/cuda_support.cuh"
#include "kernels/lars.h"

namespace stopgrad::cuda {

namespace {

constexpr int kThreads = 256, kPack = Pack<float>::size, kStep = kThreads * kPack;

/// |w|^2 and |g + decay w|^2 of a chunk.
struct Squares {
  double of[2];
};

/// One block per chunk. Chunks are whole packs at aligned addresses.
template <class T>
__global__ void __launch_bounds__(kThreads) lars_squares(LarsStep<T> call, Squares* squares) {
  await_previous_kernel();
  const LarsChunk chunk = call.chunk[blockIdx.x];
  if (!chunk.adapted) return;
  double sum[2] = {};
#pragma unroll 4
  for (int i = static_cast<int>(threadIdx.x) * kPack; i < chunk.count; i += kStep) {
    float w[kPack], g[kPack];
    load<kPack>(call.value + chunk.begin + i, w);
    load<kPack>(call.gradient + chunk.begin + i, g);
#pragma unroll
    for (int k = 0; k < kPack; ++k) {
      const float decayed = g[k] + call.decay * w[k];
      sum[0] = fma(double{w[k]}, double{w[k]}, sum[0]);
      sum[1] = fma(double{decayed}, double{decayed}, sum[1]);
    }
  }
  block_sum(sum);
  if (threadIdx.x == 0) squares[blockIdx.x] = {{sum[0], sum[1]}};
}

/// Every block of a parameter adds up the sums of all of them, in one order.
template <class T>
__device__ __forceinline__ float ratio_of(const LarsStep<T>& call, const LarsChunk& chunk,
                                          const Squares* squares) {
  if (!chunk.adapted) return 1;
  double sum[2] = {};
  const Squares* const first = squares + blockIdx.x - chunk.before;
  for (int i = static_cast<int>(threadIdx.x); i < chunk.parts; i += kThreads)
#pragma unroll
    for (int k = 0; k < 2; ++k) sum[k] += first[i].of[k];
  block_sum(sum);
  return sum[0] > 0 && sum[1] > 0 ? static_cast<float>(call.trust * sqrt(sum[0]) / sqrt(sum[1])) : 1;
}

template <class T>
__global__ void __launch_bounds__(kThreads) lars_update(LarsStep<T> call, const Squares* squares) {
  await_previous_kernel();
  const LarsChunk chunk = call.chunk[blockIdx.x];
  const float rate = *call.rate * ratio_of(call, chunk, squares), decay = chunk.adapted ? call.decay : 0;
#pragma unroll 2
  for (int i = static_cast<int>(threadIdx.x) * kPack; i < chunk.count; i += kStep) {
    const int64_t at = chunk.begin + i;
    float g[kPack], m[kPack], w[kPack];
    load<kPack>(call.gradient + at, g);
    load<kPack>(call.momentum_buffer + at, m);
    load<kPack>(call.value + at, w);
#pragma unroll
    for (int k = 0; k < kPack; ++k) {
      const float decayed = g[k] + decay * w[k];
      m[k] = call.momentum * m[k] + rate * decayed;
      w[k] -= m[k];
    }
    store<kPack>(call.momentum_buffer + at, m);
    store<kPack>(call.value + at, w);
    if (call.compute) store<kPack>(call.compute + at, w);
  }
}

}  // namespace

template <class T>
void run(const LarsStep<T>& call, Context& context) {
  if (call.chunks == 0) return;
  auto* const squares = context.scratch_of<Squares>(static_cast<size_t>(call.chunks));
  const auto blocks = static_cast<unsigned>(call.chunks);
  LAUNCH(context, (lars_squares<T>), blocks, kThreads, 0, call, squares);
  LAUNCH(context, (lars_update<T>), blocks, kThreads, 0, call, squares);
}

template void run(const LarsStep<float>&, Context&);
template void run(const LarsStep<bf16>&, Context&);

}  // namespace stopgrad::cuda
