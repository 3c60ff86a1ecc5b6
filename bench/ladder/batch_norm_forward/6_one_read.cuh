#pragma once
// What: mean and variance from one read of x: sums of x - shift and its square; the shift is the first row.
// Why:  a read and two launches less. Without a shift the squares would drown the variance of a large mean.
// Cost: two sums per channel; they are joined in double, where the subtraction at the end loses nothing.
#include "bench/ladder/batch_norm.cuh"

namespace stopgrad::ladder::batch_norm_forward::one_read {

/// parts[p, c]: sums over part p of x - shift and of its square. A thread takes P neighbouring channels.
template <class Rows, int P, class T>
__global__ void __launch_bounds__(kThreads, kBlocks)
    sum_parts(BatchNormForward<T> call, int part_rows, float2* __restrict__ parts) {
  await_previous_kernel();
  const int first = static_cast<int>(thread_of_grid()) * P;
  float shift[P] = {}, sums[2][P] = {};
  if (first < call.channels) {
    load<P>(call.x + first, shift);
    Rows::walk(call.rows, call.channels, part_rows, first, [&](int64_t at) {
      float v[P];
      load<P>(call.x + at, v);
#pragma unroll
      for (int k = 0; k < P; ++k) {
        const float d = v[k] - shift[k];
        sums[0][k] += d;
        sums[1][k] = fmaf(d, d, sums[1][k]);
      }
    });
  }
  sum_rows(sums);
  if (threadIdx.y > 0 || first >= call.channels) return;
#pragma unroll
  for (int k = 0; k < P; ++k)
    parts[int64_t{blockIdx.y} * call.channels + first + k] = make_float2(sums[0][k], sums[1][k]);
}

template <class T>
__global__ void __launch_bounds__(128) join_parts(BatchNormForward<T> call, const float2* parts, int count) {
  await_previous_kernel();
  const int c = static_cast<int>(thread_of_grid()) / 32, lane = static_cast<int>(threadIdx.x) % 32;
  if (c >= call.channels) return;  // whole warps
  double sum = 0, square = 0;
  for (int p = lane; p < count; p += 32) {
    const float2 part = parts[int64_t{p} * call.channels + c];
    sum += part.x;
    square += part.y;
  }
  sum = warp_sum(sum);
  square = warp_sum(square);
  if (lane > 0) return;
  const double offset = sum / call.rows;  // mean - shift
  const float m2 = static_cast<float>(fmax(square - sum * offset, 0.0));
  call.mean[c] = static_cast<float>(to_float(call.x[c]) + offset);
  call.rstd[c] = 1 / sqrtf(m2 / static_cast<float>(call.rows) + call.eps);
}

template <class Rows, int P, class T>
__global__ void __launch_bounds__(kThreads, kBlocks) apply(BatchNormForward<T> call, int part_rows) {
  await_previous_kernel();
  const int first = static_cast<int>(thread_of_grid()) * P;
  if (first >= call.channels) return;
  float mean[P], scale[P], beta[P];
#pragma unroll
  for (int k = 0; k < P; ++k) {
    mean[k] = call.mean[first + k];
    scale[k] = call.gamma[first + k] * call.rstd[first + k];
    beta[k] = call.beta[first + k];
  }
  Rows::walk(call.rows, call.channels, part_rows, first, [&](int64_t at) {
    float v[P];
    load<P>(call.x + at, v);
#pragma unroll
    for (int k = 0; k < P; ++k) {
      v[k] = affine(v[k] - mean[k], scale[k], beta[k]);
      v[k] = gated(v[k], v[k]);
    }
    store<P>(call.y + at, v);
  });
}

/// P elements per thread; how the first pass and the second walk down the rows.
template <int P, class First, class Second, class T>
void two_passes(const BatchNormForward<T>& call, Context& context) {
  const Tiles tiles(1, call.rows, call.channels, P);
  auto* parts = context.scratch_of<float2>(size_t(tiles.parts) * call.channels);
  LAUNCH(context, (sum_parts<First, P, T>), tiles.grid(1), tiles.block(), 0, call, tiles.part_rows, parts);
  LAUNCH(context, (join_parts<T>), blocks_for(call.channels, 4), 128, 0, call, parts, tiles.parts);
  LAUNCH(context, (apply<Second, P, T>), tiles.grid(1), tiles.block(), 0, call, tiles.part_rows);
}

template <class T>
void run(const BatchNormForward<T>& call, Context& context) {
  two_passes<1, OneRow, OneRow>(call, context);
}

}  // namespace stopgrad::ladder::batch_norm_forward::one_read
