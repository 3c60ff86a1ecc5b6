#include "kernels/cuda_epilogues.h"

#include "kernels/cuda_support.cuh"

namespace stopgrad::cuda {

namespace {

constexpr int kThreads = 256;

__global__ void __launch_bounds__(kThreads)
    widen_elements(const bf16* from, float* __restrict__ to, int64_t count, bool accumulate) {
  await_previous_kernel();
  const int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (i < count) put(to + i, to_float(from[i]), accumulate);
}

__global__ void __launch_bounds__(kThreads)
    add_bias_rows(const float* from, const float* bias, bf16* __restrict__ to, int64_t count, int columns,
                  bool accumulate) {
  await_previous_kernel();
  const int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (i < count) put(to + i, from[i] + bias[i % columns], accumulate);
}

}  // namespace

void widen(const bf16* from, float* to, int64_t count, bool accumulate, Context& context) {
  LAUNCH(context, widen_elements, blocks_for(count, kThreads), kThreads, 0, from, to, count, accumulate);
}

void add_bias(const float* from, const float* bias, bf16* to, int rows, int columns, bool accumulate,
              Context& context) {
  const int64_t count = int64_t{rows} * columns;
  LAUNCH(context, add_bias_rows, blocks_for(count, kThreads), kThreads, 0, from, bias, to, count, columns,
         accumulate);
}

}  // namespace stopgrad::cuda
