#include "kernels/cuda_epilogues.h"

#include "kernels/cuda_support.cuh"

namespace stopgrad::cuda {

namespace {

constexpr int kThreads = 256, kPack = 8;

/// P elements per thread.
template <int P>
__global__ void __launch_bounds__(kThreads)
    widen_elements(const bf16* from, float* __restrict__ to, int64_t count, bool accumulate) {
  await_previous_kernel();
  const int64_t i = (int64_t{blockIdx.x} * kThreads + threadIdx.x) * P;
  if (i >= count) return;
  float value[P];
  load<P>(from + i, value);
  put<P>(to + i, value, accumulate);
}

/// A block per row, so that no thread divides to find its column.
template <int P, class T>
__global__ void __launch_bounds__(kThreads)
    add_bias_row(const float* from, const float* bias, T* __restrict__ to, int columns, bool accumulate) {
  await_previous_kernel();
  const int64_t row = int64_t{blockIdx.x} * columns;
  for (int c = static_cast<int>(threadIdx.x) * P; c < columns; c += static_cast<int>(blockDim.x) * P) {
    float value[P], product[P] = {};
    load<P>(bias + c, value);
    if (from) load<P>(from + row + c, product);
#pragma unroll
    for (int k = 0; k < P; ++k) value[k] = product[k] + value[k];
    put<P>(to + row + c, value, accumulate);
  }
}

template <int P>
void widen_by(const bf16* from, float* to, int64_t count, bool accumulate, Context& context) {
  LAUNCH(context, widen_elements<P>, blocks_for(count, kThreads * P), kThreads, 0, from, to, count,
         accumulate);
}

template <int P, class T>
void add_bias_by(const float* from, const float* bias, T* to, int rows, int columns, bool accumulate,
                 Context& context) {
  const unsigned warps = blocks_for(columns, 32 * P, kThreads / 32);
  LAUNCH(context, (add_bias_row<P, T>), static_cast<unsigned>(rows), 32 * warps, 0, from, bias, to, columns,
         accumulate);
}

}  // namespace

void widen(const bf16* from, float* to, int64_t count, bool accumulate, Context& context) {
  const bool whole = count % kPack == 0 && aligned(from) && aligned(to);
  whole ? widen_by<kPack>(from, to, count, accumulate, context)
        : widen_by<1>(from, to, count, accumulate, context);
}

template <class T>
void add_bias(const float* from, const float* bias, T* to, int rows, int columns, bool accumulate,
              Context& context) {
  const bool whole = columns % kPack == 0 && aligned(from) && aligned(bias) && aligned(to);
  whole ? add_bias_by<kPack>(from, bias, to, rows, columns, accumulate, context)
        : add_bias_by<1>(from, bias, to, rows, columns, accumulate, context);
}

template void add_bias(const float*, const float*, bf16*, int, int, bool, Context&);
template void add_bias(const float*, const float*, float*, int, int, bool, Context&);

}  // namespace stopgrad::cuda
