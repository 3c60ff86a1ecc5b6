#pragma once
// What: a warp per row, its lanes side by side.
// Why:  one access of a warp is one run of memory, all of it used; 32 times the threads.
// Cost: 15 shuffles per row.
#include "bench/ladder/cosine_loss_backward/1_thread_per_row.cuh"

namespace stopgrad::ladder::cosine_loss_backward::warp_per_row {

template <class T>
__global__ void __launch_bounds__(kThreads, kMinBlocks)
    gradients(CosineLossBackward<T> call, int pair, T* dz) {
  await_previous_kernel();
  const Team<false, 1> team;
  if (team.row >= call.rows) return;  // whole warps
  const int64_t begin = int64_t{team.row} * call.channels;
  const T *const p = call.p[pair] + begin, *const z = call.z[pair] + begin;
  float dots[3] = {};
  dots_of_team(team, p, z, call.channels, dots);
  const Saved row_of(dots);
  const float each = thread_per_row::share(call);
  const Slopes by_p(row_of.inv_p, row_of.inv_z, row_of.cosine, each),
      by_z(row_of.inv_z, row_of.inv_p, row_of.cosine, each);
  for (int i = team.first; i < call.channels; i += team.step) {
    const float u = to_float(p[i]), v = to_float(z[i]);
    call.dp[pair][begin + i] = from_float<T>(by_p.along_v * v + by_p.along_u * u);
    dz[begin + i] = from_float<T>(by_z.along_v * u + by_z.along_u * v);
  }
}

template <class T>
void run(const CosineLossBackward<T>& call, Context& context) {
  T* const dz = thread_per_row::discarded(call, context);
  for (int pair = 0; pair < call.pairs; ++pair)
    LAUNCH(context, gradients<T>, blocks(call.rows, false), kThreads, 0, call, pair, dz);
}

}  // namespace stopgrad::ladder::cosine_loss_backward::warp_per_row
