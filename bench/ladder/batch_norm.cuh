#pragma once
// What the versions of both batch norm ladders share. Their problem: one group, a scale and a shift per
// channel, ReLU; no residual, no running statistics. Rows are tiled as in kernels/batch_norm_tiles.cuh.
#include "bench/ladder/ladder.h"
#include "kernels/batch_norm.h"
#include "kernels/batch_norm_tiles.cuh"

namespace stopgrad::ladder {

using namespace cuda;
using namespace cuda::norm;

/// The thread's place among all threads of a launch with blocks of one dimension.
__device__ __forceinline__ int64_t thread_of_grid() { return int64_t{blockIdx.x} * blockDim.x + threadIdx.x; }

/// How a thread walks down the rows of its part: f(element), a row after the other. The compiler is kept from
/// unrolling, so that a thread waits for each row.
struct OneRow {
  template <class F>
  static __device__ __forceinline__ void walk(int rows, int channels, int part_rows, int first, F f) {
    const int begin = static_cast<int>(blockIdx.y) * part_rows, end = min(rows, begin + part_rows);
#pragma unroll 1
    for (int row = begin + static_cast<int>(threadIdx.y); row < end; row += static_cast<int>(blockDim.y))
      f(int64_t{row} * channels + first);
  }
};

/// Four rows are asked for before the first is used.
struct FourRows {
  template <class F>
  static __device__ __forceinline__ void walk(int rows, int channels, int part_rows, int first, F f) {
    for_each_row<false>(rows, channels, part_rows, first, f);
  }
};

/// The same from the last row to the first.
struct FourRowsBackwards {
  template <class F>
  static __device__ __forceinline__ void walk(int rows, int channels, int part_rows, int first, F f) {
    for_each_row<true>(rows, channels, part_rows, first, f);
  }
};

/// Calls f with the elements per thread as a type: 16 bytes where rows and addresses allow it, else 1.
template <class T, class F>
void with_packs(int channels, bool all_aligned, F f) {
  if (channels % Pack<T>::size == 0 && all_aligned) f(std::integral_constant<int, Pack<T>::size>());
  else f(std::integral_constant<int, 1>());
}

}  // namespace stopgrad::ladder
