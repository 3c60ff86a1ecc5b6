#pragma once
// What: a warp per row: lanes take neighbouring elements, and five shuffles per sum add up the lanes.
// Why:  one access of a warp is one run of memory, all of it used; 32 times the threads.
// Cost: shuffles, 15 per row, against 64 steps along a row of 2048.
#include "bench/ladder/cosine_loss_forward/1_thread_per_row.cuh"

namespace stopgrad::ladder::cosine_loss_forward::warp_per_row {

/// blockIdx.y counts the pairs from `first` on. A team is a warp, or if wide a block.
template <int P, bool wide, class T>
__global__ void __launch_bounds__(kThreads, kMinBlocks) cosines(CosineLossForward<T> call, int first) {
  await_previous_kernel();
  const Team<wide, P> team;
  if (team.row >= call.rows) return;  // whole warps, and none of a wide team
  const int pair = first + static_cast<int>(blockIdx.y);
  const int64_t begin = int64_t{team.row} * call.channels;
  float dots[3] = {};
  dots_of_team(team, call.p[pair] + begin, call.z[pair] + begin, call.channels, dots);
  if (team.first == 0) Saved(dots).put(call.saved + 3 * (int64_t{pair} * call.rows + team.row));
}

template <class T>
void run(const CosineLossForward<T>& call, Context& context) {
  for (int pair = 0; pair < call.pairs; ++pair)
    LAUNCH(context, (cosines<1, false, T>), blocks(call.rows, false), kThreads, 0, call, pair);
  LAUNCH(context, thread_per_row::mean<T>, 1, 32, 0, call);
}

}  // namespace stopgrad::ladder::cosine_loss_forward::warp_per_row
