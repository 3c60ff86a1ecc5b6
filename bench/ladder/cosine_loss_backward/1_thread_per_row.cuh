#pragma once
// What: one thread per row: norms and cosine once more, then the gradients of p and z. A launch per pair.
// Why:  it needs nothing that forward saved and treats both sides alike, as an engine without a wall does.
// Cost: rows are read twice, by accesses that lie a row apart; half of what is written is thrown away.
#include "bench/ladder/cosine_loss.cuh"

namespace stopgrad::ladder::cosine_loss_backward::thread_per_row {

/// What the loss of one row counts: dloss over all rows of all pairs.
template <class T>
__device__ __forceinline__ float share(const CosineLossBackward<T>& call) {
  return *call.dloss / static_cast<float>(int64_t{call.pairs} * call.rows);
}

template <class T>
__global__ void __launch_bounds__(64) gradients(CosineLossBackward<T> call, int pair, T* dz) {
  await_previous_kernel();
  const int row = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (row >= call.rows) return;
  const int64_t begin = int64_t{row} * call.channels;
  const T *const p = call.p[pair] + begin, *const z = call.z[pair] + begin;
  float dots[3] = {};
  dots_of_row(p, z, call.channels, dots);
  const Saved row_of(dots);
  const Slopes by_p(row_of.inv_p, row_of.inv_z, row_of.cosine, share(call)),
      by_z(row_of.inv_z, row_of.inv_p, row_of.cosine, share(call));
  for (int i = 0; i < call.channels; ++i) {
    const float u = to_float(p[i]), v = to_float(z[i]);
    call.dp[pair][begin + i] = from_float<T>(by_p.along_v * v + by_p.along_u * u);
    dz[begin + i] = from_float<T>(by_z.along_v * u + by_z.along_u * v);
  }
}

/// Room for the gradient of a target, which nobody asked for.
template <class T>
T* discarded(const CosineLossBackward<T>& call, Context& context) {
  return context.scratch_of<T>(size_t(call.rows) * size_t(call.channels));
}

template <class T>
void run(const CosineLossBackward<T>& call, Context& context) {
  T* const dz = discarded(call, context);
  for (int pair = 0; pair < call.pairs; ++pair)
    LAUNCH(context, gradients<T>, blocks_for(call.rows, 64), 64, 0, call, pair, dz);
}

}  // namespace stopgrad::ladder::cosine_loss_backward::thread_per_row
