#include "kernels/batch_norm.h"
#include "kernels/batch_norm_tiles.cuh"
#include "kernels/check.h"

namespace stopgrad::cuda {

using namespace norm;

namespace {

enum class Mask { none, from_x, from_y };  // what tells where the ReLU let a value pass

/// What a thread knows of its channels.
template <int P>
struct Channels {
  float mean[P], scale[P], beta[P];

  template <class T>
  __device__ Channels(const BatchNormBackward<T>& call, int first) {
    const int64_t group = int64_t{blockIdx.z} * call.channels;
    float gamma[P];
    load_channels<P>(call.mean + group, first, call.channels, 0, mean);
    load_channels<P>(call.rstd + group, first, call.channels, 0, scale);
    load_channels<P>(call.gamma, first, call.channels, 1, gamma);
    load_channels<P>(call.beta, first, call.channels, 0, beta);
#pragma unroll
    for (int k = 0; k < P; ++k) scale[k] = gamma[k] * scale[k];
  }
};

/// dy', the gradient behind the ReLU, and x - mean, of P channels of a row.
template <Mask mask, int P, class T>
__device__ __forceinline__ void masked(const T* dy, const BatchNormBackward<T>& call,
                                       const Channels<P>& channels, int64_t at, float (&grad)[P],
                                       float (&centered)[P]) {
  float gate[P];
  load<P>(dy + at, grad);
  load<P>(call.x + at, centered);
  if constexpr (mask == Mask::from_y) load<P>(call.y + at, gate);
#pragma unroll
  for (int k = 0; k < P; ++k) {
    centered[k] = centered[k] - channels.mean[k];
    if constexpr (mask == Mask::from_x) gate[k] = affine(centered[k], channels.scale[k], channels.beta[k]);
    if constexpr (mask != Mask::none) grad[k] = gated(grad[k], gate[k]);
  }
}

/// First pass: per part, sums of dy' and of dy' * (x - mean); and dresidual = dy'.
template <class T, int P, Mask mask>
__global__ void __launch_bounds__(kThreads, kBlocks)
    batch_norm_backward_sums(BatchNormBackward<T> call, int part_rows, float2* parts) {
  const int first = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x) * P;
  float sums[2][P] = {};  // of dy', of dy' * (x - mean)
  if (first < call.channels) {
    const Channels<P> channels(call, first);
    for_each_row<false>(call.rows, call.channels, part_rows, first, [&](int64_t at) {
      float grad[P], centered[P];
      masked<mask, P>(call.dy, call, channels, at, grad, centered);
#pragma unroll
      for (int k = 0; k < P; ++k) {
        sums[0][k] += grad[k];
        sums[1][k] = fmaf(grad[k], centered[k], sums[1][k]);
      }
      if (call.dresidual) put<P>(call.dresidual + at, grad, call.accumulate_dresidual);
    });
  }
  sum_rows(sums);
  if (threadIdx.y > 0 || first >= call.channels) return;
  float2* const out = parts + (int64_t{blockIdx.z} * gridDim.y + blockIdx.y) * call.channels + first;
#pragma unroll
  for (int k = 0; k < P; ++k) out[k] = make_float2(sums[0][k], sums[1][k]);
}

/// One warp per channel: dgamma and dbeta over all groups, and what the second pass needs of each: mean(dy'),
/// and slope = rstd * mean(dy' * xhat). `share`: 1 / rows.
template <class T>
__global__ void __launch_bounds__(128)
    batch_norm_backward_finalize(const float2* __restrict__ sums, int parts, float share,
                                 BatchNormBackward<T> call, float2* means) {
  const int c = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x) / 32,
            lane = static_cast<int>(threadIdx.x) % 32;
  if (c >= call.channels) return;  // whole warps
  for (int g = 0; g < call.groups; ++g) {
    double sum = 0, dot = 0;
    for (int p = lane; p < parts; p += 32) {
      const float2 part = sums[(int64_t{g} * parts + p) * call.channels + c];
      sum += part.x;
      dot += part.y;
    }
    sum = warp_sum(sum);
    dot = warp_sum(dot);
    if (lane > 0) continue;
    const int at = g * call.channels + c;
    const float rstd = call.rstd[at];
    const float dgamma = rstd * static_cast<float>(dot), dbeta = static_cast<float>(sum);
    if (call.dgamma) put(call.dgamma + c, dgamma, g > 0 || call.accumulate_dgamma);
    if (call.dbeta) put(call.dbeta + c, dbeta, g > 0 || call.accumulate_dbeta);
    means[at] = make_float2(dbeta * share, rstd * (dgamma * share));
  }
}

/// Second pass: dx = gamma * rstd * (dy' - mean(dy') - xhat * mean(dy' * xhat)).
template <class T, int P, Mask mask>
__global__ void __launch_bounds__(kThreads, kBlocks)
    batch_norm_backward_apply(BatchNormBackward<T> call, const T* __restrict__ dy, int part_rows,
                              const float2* means) {
  const int first = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x) * P;
  if (first >= call.channels) return;
  const Channels<P> channels(call, first);
  float grad_mean[P], slope[P];
#pragma unroll
  for (int k = 0; k < P; ++k) {
    const float2 both = means[int64_t{blockIdx.z} * call.channels + first + k];
    grad_mean[k] = both.x;
    slope[k] = both.y;
  }
  for_each_row<true>(call.rows, call.channels, part_rows, first, [&](int64_t at) {
    float grad[P], centered[P];
    masked<mask, P>(dy, call, channels, at, grad, centered);
#pragma unroll
    for (int k = 0; k < P; ++k)
      grad[k] = channels.scale[k] * (grad[k] - grad_mean[k] - centered[k] * slope[k]);
    put<P>(call.dx + at, grad, call.accumulate_dx);
  });
}

template <class T, int P, Mask mask>
void backward(const BatchNormBackward<T>& call, Context& context) {
  const Tiles tiles(call.groups, call.rows, call.channels, P);
  const size_t parts = size_t(call.groups) * tiles.parts * call.channels;
  auto* sums = context.scratch_of<float2>(parts + size_t(call.groups) * call.channels);
  float2* const means = sums + parts;
  LAUNCH(context, (batch_norm_backward_sums<T, P, mask>), tiles.grid(call.groups), tiles.block(), 0, call,
         tiles.part_rows, sums);
  LAUNCH(context, (batch_norm_backward_finalize<T>), blocks_for(call.channels, 4), 128, 0, sums, tiles.parts,
         1 / static_cast<float>(call.rows), call, means);
  if (!call.dx) return;
  // A dresidual that was set is dy', so the second pass needs neither dy nor y.
  constexpr bool from_y = mask == Mask::from_y;
  if (from_y && call.dresidual && !call.accumulate_dresidual)
    LAUNCH(context, (batch_norm_backward_apply<T, P, Mask::none>), tiles.grid(call.groups), tiles.block(), 0,
           call, call.dresidual, tiles.part_rows, means);
  else
    LAUNCH(context, (batch_norm_backward_apply<T, P, mask>), tiles.grid(call.groups), tiles.block(), 0, call,
           call.dy, tiles.part_rows, means);
}

template <class T, int P>
void backward(const BatchNormBackward<T>& call, Context& context) {
  if (!call.relu) backward<T, P, Mask::none>(call, context);
  else if (call.has_residual) backward<T, P, Mask::from_y>(call, context);
  else backward<T, P, Mask::from_x>(call, context);
}

}  // namespace

template <class T>
void run(const BatchNormBackward<T>& call, Context& context) {
  ENSURE(call.groups > 0 && call.rows > 0 && call.channels > 0,
         "batch norm: {} groups of [{}, {}], every size must be positive", call.groups, call.rows,
         call.channels);
  ENSURE(!call.dx || call.dx != call.dresidual,
         "batch norm: dx and dresidual are the same memory; x cannot be its own residual, add it outside");
  constexpr int P = Pack<T>::size;
  const bool whole = call.channels % P == 0 && aligned(call.dy) && aligned(call.x) && aligned(call.y) &&
                     aligned(call.dx) && aligned(call.dresidual);
  if (whole) backward<T, P>(call, context);
  else backward<T, 1>(call, context);
}

template void run(const BatchNormBackward<float>&, Context&);
template void run(const BatchNormBackward<bf16>&, Context&);

}  // namespace stopgrad::cuda
