#include "kernels/batch_norm.h"
#include "kernels/batch_norm_tiles.cuh"
#include "kernels/check.h"

namespace stopgrad::cuda {

using namespace norm;

namespace {

/// Of one channel over one part: sums of x - shift and of its square. A shift of the part's own, its first
/// row, keeps the square from drowning the variance where the mean is large.
struct PartSums {
  float shift, sum, square;
};

template <class T, int P>
__global__ void __launch_bounds__(kThreads, kBlocks)
    batch_norm_sums(const T* __restrict__ x, int rows, int channels, int part_rows, PartSums* parts) {
  const int first = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x) * P;
  float shift[P] = {}, sums[2][P] = {};  // of x - shift, of its square
  if (first < channels) {
    load<P>(x + (int64_t{blockIdx.z} * rows + int64_t{blockIdx.y} * part_rows) * channels + first, shift);
    for_each_row<false>(rows, channels, part_rows, first, [&](int64_t at) {
      float v[P];
      load<P>(x + at, v);
#pragma unroll
      for (int k = 0; k < P; ++k) {
        const float d = v[k] - shift[k];
        sums[0][k] += d;
        sums[1][k] = fmaf(d, d, sums[1][k]);
      }
    });
  }
  sum_rows(sums);
  if (threadIdx.y > 0 || first >= channels) return;
  PartSums* const out = parts + (int64_t{blockIdx.z} * gridDim.y + blockIdx.y) * channels + first;
#pragma unroll
  for (int k = 0; k < P; ++k) out[k] = {shift[k], sums[0][k], sums[1][k]};
}

/// Count, mean and sum of squared distances from it.
struct Moments {
  double count, mean, m2;
};

/// The pairwise update (Chan, Golub and LeVeque 1979).
__device__ __forceinline__ Moments join(Moments a, Moments b) {
  const double count = a.count + b.count;
  if (count == 0) return a;
  const double delta = b.mean - a.mean, share = b.count / count;
  return {count, a.mean + delta * share, a.m2 + b.m2 + delta * delta * (a.count * share)};
}

/// One warp per channel; groups one after the other, as the running statistics want it.
template <class T>
__global__ void __launch_bounds__(128) batch_norm_finalize(const PartSums* __restrict__ sums, int parts,
                                                           int part_rows, BatchNormForward<T> call) {
  const int c = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x) / 32,
            lane = static_cast<int>(threadIdx.x) % 32;
  if (c >= call.channels) return;  // whole warps
  const float m = call.momentum;
  for (int g = 0; g < call.groups; ++g) {
    Moments all{0, 0, 0};
    for (int p = lane; p < parts; p += 32) {
      const PartSums part = sums[(int64_t{g} * parts + p) * call.channels + c];
      const double count = min(part_rows, call.rows - p * part_rows), offset = part.sum / count;
      all = join(all, {count, part.shift + offset, fmax(part.square - part.sum * offset, 0.0)});
    }
    for (int half = 16; half > 0; half /= 2)
      all =
          join(all, {__shfl_down_sync(kAllLanes, all.count, half),
                     __shfl_down_sync(kAllLanes, all.mean, half), __shfl_down_sync(kAllLanes, all.m2, half)});
    if (lane > 0) continue;
    const float mean = static_cast<float>(all.mean), m2 = static_cast<float>(all.m2);
    const float rows = static_cast<float>(call.rows), unbiased = static_cast<float>(max(1, call.rows - 1));
    call.mean[g * call.channels + c] = mean;
    call.rstd[g * call.channels + c] = 1 / sqrtf(m2 / rows + call.eps);
    if (call.running_mean) call.running_mean[c] = (1 - m) * call.running_mean[c] + m * mean;
    if (call.running_var) call.running_var[c] = (1 - m) * call.running_var[c] + m * (m2 / unbiased);
  }
}

/// y = relu((x - mean) * scale + beta + residual), from the last row to the first: the end of x is still in
/// cache. `variance`: what `rstd` points to is a variance.
template <class T, int P>
__global__ void __launch_bounds__(kThreads, kBlocks)
    batch_norm_apply(const T* __restrict__ x, const T* __restrict__ residual, int rows, int channels,
                     int part_rows, const float* mean, const float* rstd, bool variance, float eps,
                     const float* gamma, const float* beta, bool relu, T* __restrict__ y) {
  const int first = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x) * P;
  if (first >= channels) return;
  const int64_t group = int64_t{blockIdx.z} * channels;
  float means[P], scales[P], gammas[P], betas[P];
  load_channels<P>(mean + group, first, channels, 0, means);
  load_channels<P>(rstd + group, first, channels, 0, scales);
  load_channels<P>(gamma, first, channels, 1, gammas);
  load_channels<P>(beta, first, channels, 0, betas);
#pragma unroll
  for (int k = 0; k < P; ++k) {
    if (variance) scales[k] = 1 / sqrtf(scales[k] + eps);
    scales[k] = gammas[k] * scales[k];
  }
  for_each_row<true>(rows, channels, part_rows, first, [&](int64_t at) {
    float v[P], r[P] = {};
    load<P>(x + at, v);
    if (residual) load<P>(residual + at, r);
#pragma unroll
    for (int k = 0; k < P; ++k) {
      v[k] = affine(v[k] - means[k], scales[k], betas[k]);
      if (residual) v[k] += r[k];
      if (relu) v[k] = gated(v[k], v[k]);
    }
    store<P>(y + at, v);
  });
}

template <class T, int P>
void forward(const BatchNormForward<T>& call, Context& context) {
  const Tiles tiles(call.groups, call.rows, call.channels, P);
  auto* sums = context.scratch_of<PartSums>(size_t(call.groups) * tiles.parts * call.channels);
  LAUNCH(context, (batch_norm_sums<T, P>), tiles.grid(call.groups), tiles.block(), 0, call.x, call.rows,
         call.channels, tiles.part_rows, sums);
  LAUNCH(context, (batch_norm_finalize<T>), blocks_for(call.channels, 4), 128, 0, sums, tiles.parts,
         tiles.part_rows, call);
  LAUNCH(context, (batch_norm_apply<T, P>), tiles.grid(call.groups), tiles.block(), 0, call.x, call.residual,
         call.rows, call.channels, tiles.part_rows, call.mean, call.rstd, false, 0.0f, call.gamma, call.beta,
         call.relu, call.y);
}

template <class T, int P>
void inference(const BatchNormInference<T>& call, Context& context) {
  const Tiles tiles(1, call.rows, call.channels, P);
  LAUNCH(context, (batch_norm_apply<T, P>), tiles.grid(1), tiles.block(), 0, call.x, call.residual, call.rows,
         call.channels, tiles.part_rows, call.running_mean, call.running_var, true, call.eps, call.gamma,
         call.beta, call.relu, call.y);
}

}  // namespace

template <class T>
void run(const BatchNormForward<T>& call, Context& context) {
  ENSURE(call.groups > 0 && call.rows > 0 && call.channels > 0,
         "batch norm: {} groups of [{}, {}], every size must be positive", call.groups, call.rows,
         call.channels);
  constexpr int P = Pack<T>::size;
  const bool whole = call.channels % P == 0 && aligned(call.x) && aligned(call.residual) && aligned(call.y);
  if (whole) forward<T, P>(call, context);
  else forward<T, 1>(call, context);
}

template <class T>
void run(const BatchNormInference<T>& call, Context& context) {
  ENSURE(call.rows > 0 && call.channels > 0, "batch norm: [{}, {}], every size must be positive", call.rows,
         call.channels);
  constexpr int P = Pack<T>::size;
  const bool whole = call.channels % P == 0 && aligned(call.x) && aligned(call.residual) && aligned(call.y);
  if (whole) inference<T, P>(call, context);
  else inference<T, 1>(call, context);
}

template void run(const BatchNormForward<float>&, Context&);
template void run(const BatchNormForward<bf16>&, Context&);
template void run(const BatchNormInference<float>&, Context&);
template void run(const BatchNormInference<bf16>&, Context&);

}  // namespace stopgrad::cuda
