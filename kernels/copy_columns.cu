#include "kernels/copy_columns.h"

#include "kernels/cuda_support.cuh"

namespace stopgrad::cuda {

namespace {

constexpr int kThreads = 256;

/// A thread per element of y: these matrices are the weights of one layer, a few thousand elements.
template <class T>
__global__ void __launch_bounds__(kThreads) copy_columns(CopyColumns<T> c) {
  await_previous_kernel();
  const int64_t at = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (at >= c.rows * c.to) return;
  const int64_t row = at / c.to;
  const int column = static_cast<int>(at % c.to);
  put(c.y + at, column < c.from ? to_float(c.x[row * c.from + column]) : 0, c.accumulate);
}

}  // namespace

template <class T>
void run(const CopyColumns<T>& c, Context& context) {
  LAUNCH(context, copy_columns<T>, blocks_for(c.rows * c.to, kThreads), kThreads, 0, c);
}

template void run(const CopyColumns<float>&, Context&);
template void run(const CopyColumns<bf16>&, Context&);

}  // namespace stopgrad::cuda
