#pragma once
// What: ReLU's gradient in a launch of its own; then one thread per channel makes two sums, then dx.
// Why:  nothing to get wrong.
// Cost: 64 channels are two warps; dy' = dy where y > 0 is written once and read twice.
#include "bench/ladder/batch_norm.cuh"

namespace stopgrad::ladder::batch_norm_backward::thread_per_channel {

/// One thread per element: dy' = dy where ReLU let a value pass.
template <class T>
__global__ void __launch_bounds__(256) relu_gradient(const T* dy, const T* y, T* masked, int64_t count) {
  await_previous_kernel();
  const int64_t i = thread_of_grid();
  if (i < count) masked[i] = from_float<T>(gated(to_float(dy[i]), to_float(y[i])));
}

/// dx = gamma rstd (dy' - mean(dy') - xhat mean(dy' xhat)); dbeta = sum of dy'; dgamma = sum of dy' xhat.
/// xhat is (x - mean) rstd, and its rstd is multiplied in after the sum.
template <class T>
__global__ void __launch_bounds__(32) gradients(BatchNormBackward<T> call, const T* dy) {
  await_previous_kernel();
  const int c = static_cast<int>(thread_of_grid());
  if (c >= call.channels) return;
  const int64_t channels = call.channels;
  const float mean = call.mean[c], rstd = call.rstd[c], share = 1 / static_cast<float>(call.rows);

  double sum = 0, dot = 0;
  for (int r = 0; r < call.rows; ++r) {
    const int64_t i = r * channels + c;
    sum += to_float(dy[i]);
    dot += to_float(dy[i]) * (to_float(call.x[i]) - mean);
  }
  const float dgamma = rstd * static_cast<float>(dot), dbeta = static_cast<float>(sum);

  const float scale = call.gamma[c] * rstd, grad_mean = dbeta * share, slope = rstd * (dgamma * share);
  for (int r = 0; r < call.rows; ++r) {
    const int64_t i = r * channels + c;
    const float centered = to_float(call.x[i]) - mean;
    call.dx[i] = from_float<T>(scale * (to_float(dy[i]) - grad_mean - centered * slope));
  }
  call.dgamma[c] = dgamma;
  call.dbeta[c] = dbeta;
}

template <class T>
void run(const BatchNormBackward<T>& call, Context& context) {
  const int64_t count = int64_t{call.rows} * call.channels;
  auto* masked = context.scratch_of<T>(static_cast<size_t>(count));
  LAUNCH(context, relu_gradient<T>, blocks_for(count, 256), 256, 0, call.dy, call.y, masked, count);
  LAUNCH(context, gradients<T>, blocks_for(call.channels, 32), 32, 0, call, masked);
}

}  // namespace stopgrad::ladder::batch_norm_backward::thread_per_channel
