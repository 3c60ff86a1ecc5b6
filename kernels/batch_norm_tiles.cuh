#pragma once
// How the CUDA schedules of batch norm walk a matrix: a thread keeps its P channels and steps down the rows,
// so what belongs to a channel stays in registers.
#include "kernels/cuda_support.cuh"

namespace stopgrad::cuda::norm {

inline constexpr int kThreads = 256;
/// Blocks on a processor at a time, at least: four rows of 16 bytes per thread in flight are 48 KiB, enough
/// to keep memory busy, and 80 registers per thread are enough not to spill.
inline constexpr int kBlocks = 3;

/// A block has tx * ty = 256 threads: tx of them side by side over P channels each, ty over the rows of its
/// part. Shapes alone decide, so the order of a sum depends on nothing else.
struct Tiles {
  int tx, ty;
  int tiles;       // across the channels
  int part_rows;   // a power of two
  int parts;       // of a group
  int per_thread;  // P

  Tiles(int groups, int rows, int channels, int per_thread) : tx(1), per_thread(per_thread) {
    const int columns = static_cast<int>(divide_up(channels, per_thread));
    while (tx < 32 && tx < columns) tx *= 2;
    ty = kThreads / tx;
    tiles = static_cast<int>(divide_up(columns, tx));
    // Enough blocks to fill a large device several times, but parts worth starting a block for.
    for (part_rows = 4 * ty; divide_up(rows, part_rows) * tiles * groups > 1024;) part_rows *= 2;
    parts = static_cast<int>(divide_up(rows, part_rows));
  }
  dim3 grid(int groups) const {
    return {static_cast<unsigned>(tiles), static_cast<unsigned>(parts), static_cast<unsigned>(groups)};
  }
  dim3 block() const { return {static_cast<unsigned>(tx), static_cast<unsigned>(ty), 1}; }
};

/// The rows of one thread, in a kernel launched with Tiles: `count` of them from offset `at` of the first of
/// its P channels on, from the first row or, `backwards`, from the last; then the last part of the last group
/// is the first to start, as blocks start in the order of their numbers.
struct Walk {
  int group;
  int count;  // none or less where the part has fewer rows than the block
  int64_t at, stride;

  __device__ __forceinline__ Walk(int rows, int channels, int part_rows, int first_channel, bool backwards) {
    const int part = static_cast<int>(backwards ? gridDim.y - 1 - blockIdx.y : blockIdx.y);
    group = static_cast<int>(backwards ? gridDim.z - 1 - blockIdx.z : blockIdx.z);
    const int begin = part * part_rows, end = min(rows, begin + part_rows);
    const int step = static_cast<int>(blockDim.y), row = begin + static_cast<int>(threadIdx.y);
    count = (end - row + step - 1) / step;
    at = (int64_t{group} * rows + row) * channels + first_channel;
    stride = int64_t{step} * channels;
    if (backwards) {
      at += (count - 1) * stride;
      stride = -stride;
    }
  }
};

/// f(element) for each of them. For kernels that only read: see read_rows.
template <bool backwards, class F>
__device__ __forceinline__ void for_each_row(int rows, int channels, int part_rows, int first_channel, F f) {
  Walk walk(rows, channels, part_rows, first_channel, backwards);
#pragma unroll 4
  for (; walk.count > 0; --walk.count, walk.at += walk.stride) f(walk.at);
}

/// What a thread knows of its channels.
template <int P>
struct Channels {
  float mean[P], scale[P], beta[P];

  /// `means` and `rstds` from the thread's first channel on; gammas and betas, or null, of all channels.
  __device__ Channels(const float* means, const float* rstds, const float* gammas, const float* betas,
                      int first) {
#pragma unroll
    for (int k = 0; k < P; ++k) {
      mean[k] = means[k];
      scale[k] = gammas ? gammas[first + k] * rstds[k] : rstds[k];
      beta[k] = betas ? betas[first + k] : 0.0f;
    }
  }
};

/// Adds up M numbers for each of P channels over `rows` rows of threads, in a fixed tree; a block of
/// `threads` may hold several such sums, and `row` is the thread's in its own. Valid in row 0. The last
/// steps, between lanes of a warp, take no barrier.
template <int threads, int M, int P, class A>
__device__ __forceinline__ void sum_rows(A (&value)[M][P], int row, int rows) {
  SHARED(A, sums, [M * P][threads]);
  const int thread = static_cast<int>(threadIdx.x + blockDim.x * threadIdx.y);
#pragma unroll
  for (int k = 0; k < M * P; ++k) sums[k][thread] = value[k / P][k % P];
  const int width = static_cast<int>(blockDim.x);
  int half = rows / 2;
  for (; half * width >= 32; half /= 2) {
    __syncthreads();
    if (row < half)
#pragma unroll
      for (int k = 0; k < M * P; ++k) sums[k][thread] += sums[k][thread + half * width];
  }
#pragma unroll
  for (int k = 0; k < M * P; ++k) value[k / P][k % P] = sums[k][thread];
  for (; half > 0; half /= 2)
#pragma unroll
    for (int k = 0; k < M * P; ++k)
      value[k / P][k % P] += __shfl_down_sync(kAllLanes, value[k / P][k % P], half * width);
}

/// The same over all rows of a block of kThreads.
template <int M, int P, class A>
__device__ __forceinline__ void sum_rows(A (&value)[M][P]) {
  sum_rows<kThreads>(value, static_cast<int>(threadIdx.y), static_cast<int>(blockDim.y));
}

/// Groups of a channel that a block finishes at once: a warp for each.
inline constexpr int kGroupsAtOnce = 4;

/// A block of (32, groups at once) threads: of(g), by a warp, for every group; then, in the order of groups,
/// add() of what its lane 0 returned, by every thread.
template <class Found, class Of, class Add>
__device__ __forceinline__ void for_each_group(int groups, Of of, Add add) {
  SHARED(Found, found, [kGroupsAtOnce]);
  const int at_once = static_cast<int>(blockDim.y), warp = static_cast<int>(threadIdx.y);
  for (int first = 0; first < groups; first += at_once) {
    if (first + warp < groups) {
      const Found own = of(first + warp);
      if (threadIdx.x == 0) found[warp] = own;
    }
    __syncthreads();
    for (int k = 0; k < min(at_once, groups - first); ++k) add(found[k]);
    __syncthreads();  // the next turn writes `found` again
  }
}
inline dim3 block_of_groups(int groups) {
  return {32, static_cast<unsigned>(groups < kGroupsAtOnce ? groups : kGroupsAtOnce), 1};
}

/// The map of forward, and what the ReLU's mask is recomputed from: one expression, so that the signs agree.
__device__ __forceinline__ float affine(float centered, float scale, float beta) {
  return centered * scale + beta;
}

/// `value` where gate > 0, else 0. NaN passes: a diverged run must show.
__device__ __forceinline__ float gated(float value, float gate) { return gate <= 0 ? 0.0f : value; }

}  // namespace stopgrad::cuda::norm
