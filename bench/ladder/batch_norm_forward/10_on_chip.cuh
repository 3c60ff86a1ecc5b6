#pragma once
// What: a block keeps its channels' rows of x in shared memory from the sums to the map, in one launch.
// Why:  x is read once, no part is joined, and two launches are gone: most of the time where x is small.
// Cost: a block must hold all rows of two packs of channels; an x too tall for that takes the two passes.
#include "bench/ladder/batch_norm_forward/9_backwards.cuh"

namespace stopgrad::ladder::batch_norm_forward::on_chip {

constexpr int kAcross = 2, kDown = kThreads / kAcross;  // 32 bytes of a row, the least that memory moves

/// In row 0: mean and 1 / standard deviation of P channels, to the call and to all threads of the block.
template <int P, class T>
__device__ __forceinline__ void finish(const BatchNormForward<T>& call, int first, const float (&shift)[P],
                                       const float (&sums)[2][P], float (&mean)[P], float (&rstd)[P]) {
  SHARED(float, numbers, [2][kAcross][P]);
#pragma unroll
  for (int k = 0; threadIdx.y == 0 && k < P; ++k) {
    const double offset = double{sums[0][k]} / call.rows;  // mean - shift
    const float m2 = static_cast<float>(fmax(sums[1][k] - sums[0][k] * offset, 0.0));
    numbers[0][threadIdx.x][k] = static_cast<float>(shift[k] + offset);
    numbers[1][threadIdx.x][k] = 1 / sqrtf(m2 / static_cast<float>(call.rows) + call.eps);
  }
  __syncthreads();
#pragma unroll
  for (int k = 0; k < P; ++k) mean[k] = numbers[0][threadIdx.x][k], rstd[k] = numbers[1][threadIdx.x][k];
#pragma unroll
  for (int k = 0; threadIdx.y == 0 && first < call.channels && k < P; ++k)
    call.mean[first + k] = mean[k], call.rstd[first + k] = rstd[k];
}

template <int P, class T>
__global__ void __launch_bounds__(kThreads) keep(BatchNormForward<T> call) {
  await_previous_kernel();
  DYNAMIC_SHARED(T, chip);
  const int first = static_cast<int>(blockIdx.x * kAcross + threadIdx.x) * P;
  const int row = static_cast<int>(threadIdx.y), thread = static_cast<int>(threadIdx.x) + kAcross * row;
  const int count = first < call.channels ? (call.rows - row + kDown - 1) / kDown : 0;
  const auto at = [&](int i) { return (int64_t{row} + int64_t{i} * kDown) * call.channels + first; };
  const auto slot = [&](int i) { return chip + (int64_t{i} * kThreads + thread) * P; };
  float shift[P] = {}, sums[2][P] = {};
  if (first < call.channels) load<P>(call.x + first, shift);
  read_rows<4>(
      count, 0, 1, [&](int i) { return pack_at<P>(call.x + at(i)); },
      [&](int i, const auto& x) {
        float v[P];
        unpack(x, v);
        store<P>(slot(i), v);
#pragma unroll
        for (int k = 0; k < P; ++k) {
          const float d = v[k] - shift[k];
          sums[0][k] += d;
          sums[1][k] = fmaf(d, d, sums[1][k]);
        }
      });
  sum_rows(sums);
  float mean[P], rstd[P];
  finish(call, first, shift, sums, mean, rstd);
  if (count <= 0) return;
  const Channels<P> own(mean, rstd, call.gamma, call.beta, first);
  for (int i = 0; i < count; ++i) {
    float v[P];
    load<P>(slot(i), v);  // its own: no other thread wrote it
#pragma unroll
    for (int k = 0; k < P; ++k) {
      v[k] = affine(v[k] - own.mean[k], own.scale[k], own.beta[k]);
      v[k] = gated(v[k], v[k]);
    }
    store<P>(call.y + at(i), v);
  }
}

template <class T>
void run(const BatchNormForward<T>& call, Context& context) {
  constexpr int P = Pack<T>::size;
  const size_t kept = size_t(divide_up(call.rows, kDown)) * kThreads * sizeof(T) * P;
  const size_t others = 2 * sizeof(float) * P * (kThreads + kAcross) + 1024;  // the tree, the numbers
  const bool whole = call.channels % P == 0 && aligned(call.x) && aligned(call.y);
  if (!whole || kept + others > context.info().shared) return backwards::run(call, context);
  LAUNCH(context, (keep<P, T>), blocks_for(call.channels, kAcross * P), dim3(kAcross, kDown), kept, call);
}

}  // namespace stopgrad::ladder::batch_norm_forward::on_chip
