#pragma once
// What: the gradient of the target is not computed: no slope for it, no memory, no write.
// Why:  it stands behind a wall. Stop-gradient is not a gradient times zero; it is work that nobody does.
// Cost: none. This is the rung that the project is named after.
#include "bench/ladder/cosine_loss_backward/3_saved_numbers.cuh"

namespace stopgrad::ladder::cosine_loss_backward::wall {

/// blockIdx.y counts the pairs from `first` on.
template <int P, class T>
__global__ void __launch_bounds__(kThreads, kMinBlocks) gradients(CosineLossBackward<T> call, int first) {
  await_previous_kernel();
  const Team<false, P> team;
  if (team.row >= call.rows) return;
  const int pair = first + static_cast<int>(blockIdx.y);
  const int64_t begin = int64_t{team.row} * call.channels;
  const Saved row_of(call.saved + 3 * (int64_t{pair} * call.rows + team.row));
  const Slopes by_p(row_of.inv_p, row_of.inv_z, row_of.cosine, thread_per_row::share(call));
  const T *const p = call.p[pair] + begin, *const z = call.z[pair] + begin;
  T* const dp = call.dp[pair] + begin;
#pragma unroll 1
  for (int i = team.first; i < call.channels; i += team.step) {
    float u[P], v[P];
    load<P>(p + i, u);
    load<P>(z + i, v);
#pragma unroll
    for (int k = 0; k < P; ++k) u[k] = by_p.along_v * v[k] + by_p.along_u * u[k];
    store<P>(dp + i, u);
  }
}

template <class T>
void run(const CosineLossBackward<T>& call, Context& context) {
  for (int pair = 0; pair < call.pairs; ++pair)
    LAUNCH(context, (gradients<1, T>), blocks(call.rows, false), kThreads, 0, call, pair);
}

}  // namespace stopgrad::ladder::cosine_loss_backward::wall
