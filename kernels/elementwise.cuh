#pragma once
// Maps over flat arrays: how elements are dealt to threads. What a map does with P of them is a struct with
//   static constexpr int inputs;                                             arrays that it reads
//   template <int P> void load(int64_t at, float (&in)[inputs][P]) const;
//   template <int P> void store(int64_t at, const float (&in)[inputs][P]) const;
#include "kernels/cuda_support.cuh"

namespace stopgrad::cuda {

inline constexpr int kMapThreads = 256;
inline constexpr int kMapSteps = 2;  // packs per thread and array, all loaded before the first is stored

template <int P, class Map>
__global__ void __launch_bounds__(kMapThreads) map_elements(Map map, int64_t count) {
  await_previous_kernel();
  constexpr int step = kMapThreads * P;
  const int64_t first = int64_t{blockIdx.x} * kMapSteps * step + threadIdx.x * P;
  float in[kMapSteps][Map::inputs][P] = {};
#pragma unroll
  for (int u = 0; u < kMapSteps; ++u)
    if (first + u * step + P <= count) map.template load<P>(first + u * step, in[u]);
#pragma unroll
  for (int u = 0; u < kMapSteps; ++u)
    if (first + u * step + P <= count) map.template store<P>(first + u * step, in[u]);
  if constexpr (P > 1) {  // what is left of the last pack
    const int64_t at = count / P * P + threadIdx.x;
    if (blockIdx.x > 0 || at >= count) return;
    float one[Map::inputs][1] = {};
    map.template load<1>(at, one);
    map.template store<1>(at, one);
  }
}

/// `whole`: every array starts at a multiple of 16 bytes.
template <int P, class Map>
void run_map(const Map& map, int64_t count, bool whole, Context& context) {
  if (whole)
    LAUNCH(context, (map_elements<P, Map>), blocks_for(count, kMapThreads * kMapSteps * P), kMapThreads, 0,
           map, count);
  else
    LAUNCH(context, (map_elements<1, Map>), blocks_for(count, kMapThreads * kMapSteps), kMapThreads, 0, map,
           count);
}

}  // namespace stopgrad::cuda
