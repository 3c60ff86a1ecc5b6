#pragma once
// What: one thread per row: three sums, two roots, a cosine; one thread adds up all. A launch per pair.
// Why:  it reads like the formula.
// Cost: neighbouring threads read a row apart, so most bytes of an access are wasted; few threads work.
#include "bench/ladder/cosine_loss.cuh"

namespace stopgrad::ladder::cosine_loss_forward::thread_per_row {

template <class T>
__global__ void __launch_bounds__(64) cosines(CosineLossForward<T> call, int pair) {
  await_previous_kernel();
  const int row = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (row >= call.rows) return;
  const int64_t begin = int64_t{row} * call.channels;
  float dots[3] = {};
  dots_of_row(call.p[pair] + begin, call.z[pair] + begin, call.channels, dots);
  Saved(dots).put(call.saved + 3 * (int64_t{pair} * call.rows + row));
}

/// By one thread.
template <class T>
__global__ void __launch_bounds__(32) mean(CosineLossForward<T> call) {
  await_previous_kernel();
  if (threadIdx.x > 0) return;
  const int64_t count = int64_t{call.pairs} * call.rows;
  double total = 0;
  for (int64_t i = 0; i < count; ++i) total += call.saved[3 * i + 2];
  *call.loss = static_cast<float>(-total / static_cast<double>(count));
}

template <class T>
void run(const CosineLossForward<T>& call, Context& context) {
  for (int pair = 0; pair < call.pairs; ++pair)
    LAUNCH(context, cosines<T>, blocks_for(call.rows, 64), 64, 0, call, pair);
  LAUNCH(context, mean<T>, 1, 32, 0, call);
}

}  // namespace stopgrad::ladder::cosine_loss_forward::thread_per_row
