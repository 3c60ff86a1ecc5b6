#include "kernels/cosine_loss.h"

#include "kernels/pairs.cuh"

namespace stopgrad::cuda {

using namespace rows;

namespace {

/// What is saved of the team's row of the block's pair.
template <bool wide, int P, class T>
__device__ __forceinline__ void put_cosine(const CosineLossForward<T>& call, const Team<wide, P>& team) {
  const int pair = static_cast<int>(blockIdx.y);
  const T* const p = call.p[pair] + int64_t{team.row} * call.channels;
  const T* const z = call.z[pair] + int64_t{team.row} * call.channels;
  float dots[3] = {};  // p . p, z . z, p . z
#pragma unroll 2
  for (int i = team.first; i < call.channels; i += team.step) {
    float u[P], v[P];
    load<P>(p + i, u);
    load<P>(z + i, v);
#pragma unroll
    for (int k = 0; k < P; ++k) {
      dots[0] = fmaf(u[k], u[k], dots[0]);
      dots[1] = fmaf(v[k], v[k], dots[1]);
      dots[2] = fmaf(u[k], v[k], dots[2]);
    }
  }
  sum<wide>(dots);
  if (team.first > 0) return;
  float* const saved = call.saved + 3 * (int64_t{pair} * call.rows + team.row);
  const float inv_p = inverse_norm(dots[0]), inv_z = inverse_norm(dots[1]);
  saved[0] = inv_p;
  saved[1] = inv_z;
  saved[2] = dots[2] * inv_p * inv_z;
}

/// One launch: the block that ends last takes the mean.
template <class T, int P, bool wide>
__global__ void __launch_bounds__(kThreads, kMinBlocks)
    cosine_loss_forward(CosineLossForward<T> call, unsigned* ticket) {
  await_previous_kernel();
  const Team<wide, P> team;
  if (team.row < call.rows) put_cosine(call, team);  // whole warps, and all of a wide team
  if (is_last_block(ticket))
    put_mean<kThreads, 3, -1>(call.saved + 2, int64_t{call.pairs} * call.rows, call.loss);
}

/// du = along_v * v + along_u * u: -c inv_u (v^ - cosine u^), without the part along u where |u| is floored.
struct Slopes {
  float along_v, along_u;
  __device__ Slopes(float inv_u, float inv_v, float cosine, float c)
      : along_v(-c * inv_u * inv_v), along_u(is_floored(inv_u) ? 0 : c * inv_u * inv_u * cosine) {}

  template <int P, class T>
  __device__ __forceinline__ void put_row(T* at, const float (&u)[P], const float (&v)[P],
                                          bool accumulate) const {
    float du[P];
#pragma unroll
    for (int k = 0; k < P; ++k) du[k] = along_v * v[k] + along_u * u[k];
    put<P>(at, du, accumulate);
  }
};

template <int P, class T>
struct Both {
  Pack<T, P> p, z;
};

template <class T, int P, bool wide>
__global__ void __launch_bounds__(kThreads, kMinBlocks) cosine_loss_backward(CosineLossBackward<T> call) {
  await_previous_kernel();
  const Team<wide, P> team;
  if (team.row >= call.rows) return;
  const float scale = *call.dloss / static_cast<float>(int64_t{call.pairs} * call.rows);
  const int64_t begin = int64_t{team.row} * call.channels;
  for (int pair = static_cast<int>(blockIdx.y); pair < call.pairs; pair += static_cast<int>(gridDim.y)) {
    T *const dp = call.dp[pair], *const dz = call.dz[pair];
    if (!dp && !dz) continue;
    const float* const saved = call.saved + 3 * (int64_t{pair} * call.rows + team.row);
    const Slopes by_p(saved[0], saved[1], saved[2], scale), by_z(saved[1], saved[0], saved[2], scale);
    const T *const p = call.p[pair] + begin, *const z = call.z[pair] + begin;
    const auto read = [&](int i) { return Both<P, T>{pack_at<P>(p + i), pack_at<P>(z + i)}; };
    read_rows<2>((call.channels - team.first + team.step - 1) / team.step, team.first, team.step, read,
                 [&](int i, const auto& both) {
                   float u[P], v[P];
                   unpack(both.p, u);
                   unpack(both.z, v);
                   if (dp) by_p.put_row<P>(dp + begin + i, u, v, call.accumulate_dp[pair]);
                   if (dz) by_z.put_row<P>(dz + begin + i, v, u, call.accumulate_dz[pair]);
                 });
  }
}

}  // namespace

template <class T>
void run(const CosineLossForward<T>& call, Context& context) {
  for_pairs<T>(call, [&](dim3 grid, auto P, auto wide) {
    LAUNCH(context, (cosine_loss_forward<T, P.value, wide.value>), grid, kThreads, 0, call, context.ticket());
  });
}

template <class T>
void run(const CosineLossBackward<T>& call, Context& context) {
  for_pairs_backward<T>(call, [&](dim3 grid, auto P, auto wide) {
    LAUNCH(context, (cosine_loss_backward<T, P.value, wide.value>), grid, kThreads, 0, call);
  });
}

template void run(const CosineLossForward<float>&, Context&);
template void run(const CosineLossForward<bf16>&, Context&);
template void run(const CosineLossBackward<float>&, Context&);
template void run(const CosineLossBackward<bf16>&, Context&);

}  // namespace stopgrad::cuda
