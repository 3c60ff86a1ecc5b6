#include <algorithm>

#include "kernels/cuda_support.cuh"
#include "kernels/pool.h"

namespace stopgrad::cuda {

namespace {

constexpr int kThreads = 256;
constexpr int kRun = 16;  // pixels summed before they join the sum: keeps rounding errors small

/// A block is tx columns, each P channels of one image, by ty threads that share the `steps` down a column.
struct Tiles {
  int tx, ty = 1;
  unsigned blocks;

  Tiles(int64_t columns, int64_t steps) {
    while (ty < 8 && ty < steps) ty *= 2;
    tx = std::min(64, kThreads / ty);
    blocks = blocks_for(columns, tx);
  }
  dim3 block() const { return {static_cast<unsigned>(tx), static_cast<unsigned>(ty), 1}; }
};

/// The column of a thread.
struct Column {
  int64_t image;
  int channel;  // the first of P

  __device__ Column(int channels, int per_thread) {
    const int packs = channels / per_thread;
    const int64_t column = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
    image = column / packs;
    channel = static_cast<int>(column - image * packs) * per_thread;
  }
};

/// The sums of runs go through shared memory and are added in the order of their pixels.
template <class T, int P>
__global__ void __launch_bounds__(kThreads) average_pool_forward(AveragePoolForward<T> call) {
  await_previous_kernel();
  SHARED(float, runs, [P][kThreads]);
  const Column column(call.channels, P);
  const int rows = static_cast<int>(blockDim.y), row = static_cast<int>(threadIdx.y),
            width = static_cast<int>(blockDim.x), thread = row * width + static_cast<int>(threadIdx.x);
  const int pixels = column.image < call.images ? call.pixels : 0;
  const T* const x = call.x + column.image * call.pixels * call.channels + column.channel;
  float sum[P] = {};
  for (int begin = 0; begin < call.pixels; begin += kRun * rows) {
    const int first = begin + row * kRun, end = min(first + kRun, pixels);
    float run[P] = {};
#pragma unroll 8
    for (int p = first; p < end; ++p) {
      float value[P];
      load<P>(x + int64_t{p} * call.channels, value);
#pragma unroll
      for (int k = 0; k < P; ++k) run[k] += value[k];
    }
#pragma unroll
    for (int k = 0; k < P; ++k) runs[k][thread] = run[k];
    __syncthreads();
    if (row == 0)
      for (int r = 0; r < rows && begin + r * kRun < pixels; ++r)
#pragma unroll
        for (int k = 0; k < P; ++k) sum[k] += runs[k][r * width + thread];
    __syncthreads();  // the next runs go to the same place
  }
  if (row > 0 || column.image >= call.images) return;
#pragma unroll
  for (int k = 0; k < P; ++k) sum[k] = sum[k] / static_cast<float>(call.pixels);
  store<P>(call.y + column.image * call.channels + column.channel, sum);
}

template <class T, int P>
__global__ void __launch_bounds__(kThreads) average_pool_backward(AveragePoolBackward<T> call) {
  await_previous_kernel();
  const Column column(call.channels, P);
  if (column.image >= call.images) return;
  float share[P];
  load<P>(call.dy + column.image * call.channels + column.channel, share);
#pragma unroll
  for (int k = 0; k < P; ++k) share[k] = share[k] / static_cast<float>(call.pixels);
  T* const dx = call.dx + column.image * call.pixels * call.channels + column.channel;
  for (int p = static_cast<int>(threadIdx.y); p < call.pixels; p += static_cast<int>(blockDim.y)) {
    T* const at = dx + int64_t{p} * call.channels;
    float value[P] = {};
    if (call.accumulate) load<P>(at, value);
#pragma unroll
    for (int k = 0; k < P; ++k) value[k] = call.accumulate ? value[k] + share[k] : share[k];
    store<P>(at, value);
  }
}

template <class T, int P>
void forward(const AveragePoolForward<T>& call, Context& context) {
  const Tiles tiles(int64_t{call.images} * (call.channels / P), divide_up(call.pixels, kRun));
  LAUNCH(context, (average_pool_forward<T, P>), tiles.blocks, tiles.block(), 0, call);
}

template <class T, int P>
void backward(const AveragePoolBackward<T>& call, Context& context) {
  const Tiles tiles(int64_t{call.images} * (call.channels / P), call.pixels);
  LAUNCH(context, (average_pool_backward<T, P>), tiles.blocks, tiles.block(), 0, call);
}

}  // namespace

template <class T>
void run(const AveragePoolForward<T>& call, Context& context) {
  constexpr int P = Pack<T>::size;
  if (call.images <= 0 || call.channels <= 0) return;
  if (call.channels % P == 0 && aligned(call.x) && aligned(call.y)) forward<T, P>(call, context);
  else forward<T, 1>(call, context);
}

template <class T>
void run(const AveragePoolBackward<T>& call, Context& context) {
  constexpr int P = Pack<T>::size;
  if (call.images <= 0 || call.channels <= 0) return;
  if (call.channels % P == 0 && aligned(call.dy) && aligned(call.dx)) backward<T, P>(call, context);
  else backward<T, 1>(call, context);
}

template void run(const AveragePoolForward<float>&, Context&);
template void run(const AveragePoolForward<bf16>&, Context&);
template void run(const AveragePoolBackward<float>&, Context&);
template void run(const AveragePoolBackward<bf16>&, Context&);

}  // namespace stopgrad::cuda
