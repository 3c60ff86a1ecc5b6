#pragma once
// What: the lengths and the cosine come from forward, three numbers per row.
// Why:  the row need not be read twice, and no lane waits for another.
// Cost: forward writes 12 bytes per row and somebody keeps them until backward.
#include "bench/ladder/cosine_loss_backward/2_warp_per_row.cuh"

namespace stopgrad::ladder::cosine_loss_backward::saved_numbers {

template <class T>
__global__ void __launch_bounds__(kThreads, kMinBlocks)
    gradients(CosineLossBackward<T> call, int pair, T* dz) {
  await_previous_kernel();
  const Team<false, 1> team;
  if (team.row >= call.rows) return;
  const int64_t begin = int64_t{team.row} * call.channels;
  const T *const p = call.p[pair] + begin, *const z = call.z[pair] + begin;
  const Saved row_of(call.saved + 3 * (int64_t{pair} * call.rows + team.row));
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

}  // namespace stopgrad::ladder::cosine_loss_backward::saved_numbers
