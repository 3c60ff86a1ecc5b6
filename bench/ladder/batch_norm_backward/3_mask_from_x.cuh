#pragma once
// What: where ReLU let a value pass is computed again from x, in both passes, by the expression of forward.
// Why:  no launch for it, no dy' in memory, and y is not read: five accesses instead of eight.
// Cost: a multiplication, an addition and a comparison per element, which wait for memory anyway.
#include "bench/ladder/batch_norm_backward/2_row_parts.cuh"

namespace stopgrad::ladder::batch_norm_backward::mask_from_x {

/// P channels of a thread, and dy' and x - mean of them in a row.
template <int P>
struct Channels {
  float mean[P], scale[P], beta[P];

  template <class T>
  __device__ Channels(const BatchNormBackward<T>& call, int first) {
#pragma unroll
    for (int k = 0; k < P; ++k) {
      mean[k] = call.mean[first + k];
      scale[k] = call.gamma[first + k] * call.rstd[first + k];
      beta[k] = call.beta[first + k];
    }
  }
  template <class T>
  __device__ __forceinline__ void load_row(const BatchNormBackward<T>& call, int64_t at, float (&grad)[P],
                                           float (&centered)[P]) const {
    load<P>(call.dy + at, grad);
    load<P>(call.x + at, centered);
#pragma unroll
    for (int k = 0; k < P; ++k) {
      centered[k] = centered[k] - mean[k];
      grad[k] = gated(grad[k], affine(centered[k], scale[k], beta[k]));
    }
  }
};

template <class Rows, int P, class T>
__global__ void __launch_bounds__(kThreads, kBlocks)
    sum_parts(BatchNormBackward<T> call, int part_rows, float2* parts) {
  await_previous_kernel();
  const int first = static_cast<int>(thread_of_grid()) * P;
  float sums[2][P] = {};
  if (first < call.channels) {
    const Channels<P> channels(call, first);
    Rows::walk(call.rows, call.channels, part_rows, first, [&](int64_t at) {
      float grad[P], centered[P];
      channels.load_row(call, at, grad, centered);
#pragma unroll
      for (int k = 0; k < P; ++k) {
        sums[0][k] += grad[k];
        sums[1][k] = fmaf(grad[k], centered[k], sums[1][k]);
      }
    });
  }
  sum_rows(sums);
  if (threadIdx.y > 0 || first >= call.channels) return;
#pragma unroll
  for (int k = 0; k < P; ++k)
    parts[int64_t{blockIdx.y} * call.channels + first + k] = make_float2(sums[0][k], sums[1][k]);
}

template <class Rows, int P, class T>
__global__ void __launch_bounds__(kThreads, kBlocks)
    apply(BatchNormBackward<T> call, int part_rows, const float2* means) {
  await_previous_kernel();
  const int first = static_cast<int>(thread_of_grid()) * P;
  if (first >= call.channels) return;
  const Channels<P> channels(call, first);
  float2 both[P];
#pragma unroll
  for (int k = 0; k < P; ++k) both[k] = means[first + k];
  Rows::walk(call.rows, call.channels, part_rows, first, [&](int64_t at) {
    float grad[P], centered[P];
    channels.load_row(call, at, grad, centered);
#pragma unroll
    for (int k = 0; k < P; ++k) grad[k] = channels.scale[k] * (grad[k] - both[k].x - centered[k] * both[k].y);
    store<P>(call.dx + at, grad);
  });
}

/// P elements per thread; how the first pass and the second walk down the rows.
template <int P, class First, class Second, class T>
void two_passes(const BatchNormBackward<T>& call, Context& context) {
  const Tiles tiles(1, call.rows, call.channels, P);
  const size_t pairs = size_t(tiles.parts) * call.channels;
  auto* parts = context.scratch_of<float2>(pairs + call.channels);
  float2* const means = parts + pairs;
  LAUNCH(context, (sum_parts<First, P, T>), tiles.grid(1), tiles.block(), 0, call, tiles.part_rows, parts);
  LAUNCH(context, (row_parts::join_parts<T>), blocks_for(call.channels, 4), 128, 0, call, parts, tiles.parts,
         means);
  LAUNCH(context, (apply<Second, P, T>), tiles.grid(1), tiles.block(), 0, call, tiles.part_rows, means);
}

template <class T>
void run(const BatchNormBackward<T>& call, Context& context) {
  two_passes<1, OneRow, OneRow>(call, context);
}

}  // namespace stopgrad::ladder::batch_norm_backward::mask_from_x
