#pragma once
// How CUDA schedules walk a matrix row by row: a team of threads, a warp or for long rows a block, owns a
// row, and a thread takes P neighbouring elements of it at a time.
#include <cmath>
#include <type_traits>

#include "kernels/cuda_support.cuh"
#include "kernels/normalize.h"

namespace stopgrad::cuda::rows {

inline constexpr int kThreads = 128;
inline constexpr int kMinBlocks = 8;  // on a processor: 64 registers per thread

/// Where a thread stands: its row, and its first element in it, from which it steps by `step`.
template <bool wide, int P>
struct Team {
  static constexpr int width = wide ? kThreads : 32;
  static constexpr int step = width * P;
  int row = static_cast<int>(blockIdx.x) * (kThreads / width) + static_cast<int>(threadIdx.x) / width;
  int first = static_cast<int>(threadIdx.x) % width * P;
};

inline unsigned blocks(int rows, bool wide) { return blocks_for(rows, wide ? 1 : kThreads / 32); }

/// Calls f with P and wide as types: a pack where `whole` says that all addresses are a pack's, and a block
/// where a warp would have more than four steps to go.
template <class T, class F>
void choose(bool whole, int channels, F f) {
  const auto with = [&](auto per_thread) {
    if (channels > 4 * 32 * per_thread) f(per_thread, std::true_type());
    else f(per_thread, std::false_type());
  };
  if (whole && channels % Pack<T>::size == 0) with(std::integral_constant<int, Pack<T>::size>());
  else with(std::integral_constant<int, 1>());
}

/// Sums of N numbers over a team; the same in every thread of it.
template <bool wide, int N, class A>
__device__ __forceinline__ void sum(A (&value)[N]) {
  if constexpr (wide) {
    block_sum(value);
  } else {
#pragma unroll
    for (int k = 0; k < N; ++k) value[k] = warp_sum(value[k]);
  }
}

/// Largest of N numbers over a team, passing over NaN; the same in every thread of it.
template <bool wide, int N>
__device__ __forceinline__ void largest(float (&value)[N]) {
#pragma unroll
  for (int k = 0; k < N; ++k)
#pragma unroll
    for (int half = 16; half > 0; half /= 2)
      value[k] = fmaxf(value[k], __shfl_xor_sync(kAllLanes, value[k], half));
  if constexpr (wide) {
    SHARED(float, most, [kThreads / 32][N]);
    if (threadIdx.x % 32 == 0)
#pragma unroll
      for (int k = 0; k < N; ++k) most[threadIdx.x / 32][k] = value[k];
    __syncthreads();
#pragma unroll
    for (int warp = 0; warp < kThreads / 32; ++warp)
#pragma unroll
      for (int k = 0; k < N; ++k) value[k] = fmaxf(value[k], most[warp][k]);
    __syncthreads();  // the next use writes `most` again
  }
}

/// 1 / max(|u|, floor) from |u|^2; NaN stays NaN.
template <class A>
__device__ __forceinline__ A inverse_norm(A squares) {
  const A length = std::sqrt(squares), floor = static_cast<A>(kNormFloor);
  return 1 / (length < floor ? floor : length);
}

/// Whether this is the inverse of the floor: then u / max(|u|, floor) is linear in u.
__device__ __forceinline__ bool is_floored(float inv_norm) {
  return inv_norm == 1 / static_cast<float>(kNormFloor);
}

/// A block: *loss = sign * mean of values[stride * i], summed in double.
template <int threads, int stride, int sign>
__device__ __forceinline__ void put_mean(const float* values, int64_t count, float* loss) {
  double total[1] = {0};
#pragma unroll 4
  for (int64_t i = threadIdx.x; i < count; i += threads) total[0] += values[stride * i];
  block_sum(total);
  if (threadIdx.x == 0) *loss = static_cast<float>(sign * total[0] / static_cast<double>(count));
}
template <int stride, int sign>
__global__ void __launch_bounds__(256) mean_loss(const float* values, int64_t count, float* loss) {
  await_previous_kernel();
  put_mean<256, stride, sign>(values, count, loss);
}

/// True in one block, the last of the grid to come here: it sees what all of them have written. `ticket` is
/// the context's. Called by all threads.
__device__ __forceinline__ bool is_last_block(unsigned* ticket) {
  SHARED(bool, last);
  __threadfence();
  __syncthreads();
  const unsigned blocks = gridDim.x * gridDim.y;
  if (threadIdx.x == 0) last = atomicInc(ticket, blocks - 1) == blocks - 1;
  __syncthreads();
  __threadfence();
  return last;
}

}  // namespace stopgrad::cuda::rows
