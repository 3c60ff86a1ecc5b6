#pragma once
// What: a block of 256 threads per channel; their sums meet in a tree in shared memory.
// Why:  256 times the threads, and a sum of n numbers in log n steps.
// Cost: neighbouring threads read a whole row apart: of every 32 bytes that come, a thread uses one element.
#include "bench/ladder/batch_norm_forward/1_thread_per_channel.cuh"

namespace stopgrad::ladder::batch_norm_forward::block_per_channel {

using thread_per_channel::relu;

inline constexpr int kWidth = 256;

/// The sum over the block, the same in every thread. Each halving waits for the one before.
__device__ __forceinline__ float tree_sum(float value) {
  SHARED(float, sums, [kWidth]);
  const int thread = static_cast<int>(threadIdx.x);
  sums[thread] = value;
  for (int half = kWidth / 2; half > 0; half /= 2) {
    __syncthreads();
    if (thread < half) sums[thread] += sums[thread + half];
  }
  __syncthreads();
  const float sum = sums[0];
  __syncthreads();  // the next sum writes `sums` again
  return sum;
}

template <class T>
__global__ void __launch_bounds__(kWidth) normalise(BatchNormForward<T> call) {
  await_previous_kernel();
  const int c = static_cast<int>(blockIdx.x), first = static_cast<int>(threadIdx.x);
  const int64_t channels = call.channels;
  const float rows = static_cast<float>(call.rows);

  float sum = 0;
  for (int r = first; r < call.rows; r += kWidth) sum += to_float(call.x[r * channels + c]);
  const float mean = tree_sum(sum) / rows;

  float squares = 0;
  for (int r = first; r < call.rows; r += kWidth) {
    const float d = to_float(call.x[r * channels + c]) - mean;
    squares += d * d;
  }
  const float rstd = 1 / sqrtf(tree_sum(squares) / rows + call.eps);

  const float scale = call.gamma[c] * rstd, beta = call.beta[c];
  for (int r = first; r < call.rows; r += kWidth) {
    const int64_t i = r * channels + c;
    call.y[i] = from_float<T>(affine(to_float(call.x[i]) - mean, scale, beta));
  }
  if (first > 0) return;
  call.mean[c] = mean;
  call.rstd[c] = rstd;
}

template <class T>
void run(const BatchNormForward<T>& call, Context& context) {
  LAUNCH(context, normalise<T>, static_cast<unsigned>(call.channels), kWidth, 0, call);
  const int64_t count = int64_t{call.rows} * call.channels;
  LAUNCH(context, relu<T>, blocks_for(count, 256), 256, 0, call.y, count);
}

}  // namespace stopgrad::ladder::batch_norm_forward::block_per_channel
