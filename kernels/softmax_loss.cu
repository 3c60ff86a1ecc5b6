#include "kernels/softmax_loss.h"

#include "kernels/pairs.cuh"

namespace stopgrad::cuda {

using namespace rows;

namespace {

/// Puts -infinity in the place of the classes that a row leaves out.
struct LeftOut {
  int begin = 0, end = 0, label;
  __device__ LeftOut(const int32_t* range, int row, int own) : label(own) {
    if (!range) return;
    begin = range[2 * row];
    end = range[2 * row + 1];
  }
  template <int P>
  __device__ __forceinline__ void apply(int first, float (&v)[P]) const {
#pragma unroll
    for (int k = 0; k < P; ++k) {
      const int i = first + k;
      if (i >= begin && i < end && i != label) v[k] = -INFINITY;
    }
  }
};

template <class T, int P, bool wide>
__global__ void __launch_bounds__(kThreads, kMinBlocks)
    cross_entropy_forward(CrossEntropyForward<T> call, float* losses) {
  await_previous_kernel();
  const Team<wide, P> team;
  if (team.row >= call.rows) return;  // whole warps, and none of a wide team
  const T* const x = call.logits + int64_t{team.row} * call.classes;
  float* const probability = call.probability + int64_t{team.row} * call.classes;
  const int label = call.labels[team.row];
  const LeftOut left_out(call.left_out, team.row, label);
  float most[1] = {-INFINITY}, total[1] = {0};
  float v[P];
#pragma unroll 4
  for (int i = team.first; i < call.classes; i += team.step) {
    load<P>(x + i, v);
    left_out.apply(i, v);
#pragma unroll
    for (int k = 0; k < P; ++k) most[0] = fmaxf(most[0], v[k]);
  }
  largest<wide>(most);
#pragma unroll 2
  for (int i = team.first; i < call.classes; i += team.step) {
    load<P>(x + i, v);
    left_out.apply(i, v);
#pragma unroll
    for (int k = 0; k < P; ++k) total[0] += expf(v[k] - most[0]);
  }
  sum<wide>(total);
  for (int i = team.first; i < call.classes; i += team.step) {
    load<P>(x + i, v);
    left_out.apply(i, v);
#pragma unroll
    for (int k = 0; k < P; ++k) v[k] = expf(v[k] - most[0]) / total[0];
    store<P>(probability + i, v);
  }
  if (team.first > 0) return;
  const bool known = label >= 0 && label < call.classes;
  losses[team.row] = known ? logf(total[0]) - (to_float(x[label]) - most[0]) : NAN;
}

template <class T, int P, bool wide>
__global__ void __launch_bounds__(kThreads, kMinBlocks) cross_entropy_backward(CrossEntropyBackward<T> call) {
  await_previous_kernel();
  const Team<wide, P> team;
  if (team.row >= call.rows) return;
  const int64_t begin = int64_t{team.row} * call.classes;
  const float scale = *call.dloss / static_cast<float>(call.rows);
  const int label = call.labels[team.row];
#pragma unroll 2
  for (int i = team.first; i < call.classes; i += team.step) {
    float v[P];
    load<P>(call.probability + begin + i, v);
#pragma unroll
    for (int k = 0; k < P; ++k) v[k] = scale * (v[k] - static_cast<float>(i + k == label));
    put<P>(call.dlogits + begin + i, v, call.accumulate);
  }
}

template <class T, int P, bool wide>
__global__ void __launch_bounds__(kThreads, kMinBlocks)
    softmax_similarity_forward(SoftmaxSimilarityForward<T> call) {
  await_previous_kernel();
  const Team<wide, P> team;
  if (team.row >= call.rows) return;
  const int pair = static_cast<int>(blockIdx.y);
  const T* const p = call.p[pair] + int64_t{team.row} * call.channels;
  const T* const z = call.z[pair] + int64_t{team.row} * call.channels;
  float most[2] = {-INFINITY, -INFINITY};  // of p, of z
#pragma unroll 2
  for (int i = team.first; i < call.channels; i += team.step) {
    float u[P], v[P];
    load<P>(p + i, u);
    load<P>(z + i, v);
#pragma unroll
    for (int k = 0; k < P; ++k) {
      most[0] = fmaxf(most[0], u[k]);
      most[1] = fmaxf(most[1], v[k]);
    }
  }
  largest<wide>(most);
  float sums[3] = {};  // of exp(p - most_p), exp(z - most_z), exp(z - most_z) (p - most_p)
  for (int i = team.first; i < call.channels; i += team.step) {
    float u[P], v[P];
    load<P>(p + i, u);
    load<P>(z + i, v);
#pragma unroll
    for (int k = 0; k < P; ++k) {
      const float log_p = u[k] - most[0], exp_z = expf(v[k] - most[1]);
      sums[0] += expf(log_p);
      sums[1] += exp_z;
      sums[2] = fmaf(exp_z, log_p, sums[2]);
    }
  }
  sum<wide>(sums);
  if (team.first > 0) return;
  float* const saved = call.saved + 3 * (int64_t{pair} * call.rows + team.row);
  saved[0] = most[0] + logf(sums[0]);
  saved[1] = most[1] + logf(sums[1]);
  saved[2] = sums[2] / sums[1] - logf(sums[0]);
}

template <class T, int P, bool wide>
__global__ void __launch_bounds__(kThreads, kMinBlocks)
    softmax_similarity_backward(SoftmaxSimilarityBackward<T> call) {
  await_previous_kernel();
  const Team<wide, P> team;
  if (team.row >= call.rows) return;
  const float scale = *call.dloss / static_cast<float>(int64_t{call.pairs} * call.rows);
  const int64_t begin = int64_t{team.row} * call.channels;
  for (int pair = static_cast<int>(blockIdx.y); pair < call.pairs; pair += static_cast<int>(gridDim.y)) {
    T *const dp = call.dp[pair], *const dz = call.dz[pair];
    if (!dp && !dz) continue;
    const float* const saved = call.saved + 3 * (int64_t{pair} * call.rows + team.row);
    const float lse_p = saved[0], lse_z = saved[1], mean = saved[2];  // log-sum-exp of p, of z; z^ . log p^
    const T *const p = call.p[pair] + begin, *const z = call.z[pair] + begin;
    for (int i = team.first; i < call.channels; i += team.step) {
      float u[P], v[P], out[P];
      load<P>(p + i, u);
      load<P>(z + i, v);
#pragma unroll
      for (int k = 0; k < P; ++k) v[k] = expf(v[k] - lse_z);
      if (dp) {
#pragma unroll
        for (int k = 0; k < P; ++k) out[k] = scale * (expf(u[k] - lse_p) - v[k]);
        put<P>(dp + begin + i, out, call.accumulate_dp[pair]);
      }
      if (dz) {
#pragma unroll
        for (int k = 0; k < P; ++k) out[k] = -scale * v[k] * (u[k] - lse_p - mean);
        put<P>(dz + begin + i, out, call.accumulate_dz[pair]);
      }
    }
  }
}

}  // namespace

template <class T>
void run(const CrossEntropyForward<T>& call, Context& context) {
  float* const losses = context.scratch_of<float>(static_cast<size_t>(call.rows));
  choose<T>(aligned(call.logits) && aligned(call.probability), call.classes, [&](auto P, auto wide) {
    LAUNCH(context, (cross_entropy_forward<T, P.value, wide.value>), blocks(call.rows, wide), kThreads, 0,
           call, losses);
  });
  LAUNCH(context, (mean_loss<1, 1>), 1, 256, 0, losses, call.rows, call.loss);
}

template <class T>
void run(const CrossEntropyBackward<T>& call, Context& context) {
  choose<T>(aligned(call.probability) && aligned(call.dlogits), call.classes, [&](auto P, auto wide) {
    LAUNCH(context, (cross_entropy_backward<T, P.value, wide.value>), blocks(call.rows, wide), kThreads, 0,
           call);
  });
}

template <class T>
void run(const SoftmaxSimilarityForward<T>& call, Context& context) {
  for_pairs<T>(call, [&](dim3 grid, auto P, auto wide) {
    LAUNCH(context, (softmax_similarity_forward<T, P.value, wide.value>), grid, kThreads, 0, call);
  });
  LAUNCH(context, (mean_loss<3, -1>), 1, 256, 0, call.saved + 2, int64_t{call.pairs} * call.rows, call.loss);
}

template <class T>
void run(const SoftmaxSimilarityBackward<T>& call, Context& context) {
  for_pairs_backward<T>(call, [&](dim3 grid, auto P, auto wide) {
    LAUNCH(context, (softmax_similarity_backward<T, P.value, wide.value>), grid, kThreads, 0, call);
  });
}

template void run(const CrossEntropyForward<float>&, Context&);
template void run(const CrossEntropyForward<bf16>&, Context&);
template void run(const CrossEntropyBackward<float>&, Context&);
template void run(const CrossEntropyBackward<bf16>&, Context&);
template void run(const SoftmaxSimilarityForward<float>&, Context&);
template void run(const SoftmaxSimilarityForward<bf16>&, Context&);
template void run(const SoftmaxSimilarityBackward<float>&, Context&);
template void run(const SoftmaxSimilarityBackward<bf16>&, Context&);

}  // namespace stopgrad::cuda
