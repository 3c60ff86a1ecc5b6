#pragma once
// What: one thread per channel: mean, variance, normalise, as the formulas read; ReLU in a launch of its own.
// Why:  nothing to get wrong, and neighbouring threads read neighbouring channels, which memory likes.
// Cost: 64 channels are two warps on a device with room for thousands; x is read three times, y once more.
#include "bench/ladder/batch_norm.cuh"

namespace stopgrad::ladder::batch_norm_forward::thread_per_channel {

template <class T>
__global__ void __launch_bounds__(32) normalise(BatchNormForward<T> call) {
  await_previous_kernel();
  const int c = static_cast<int>(thread_of_grid());
  if (c >= call.channels) return;
  const int64_t channels = call.channels;
  const float rows = static_cast<float>(call.rows);

  double sum = 0;  // half a million terms one after the other would cost a float four digits
  for (int r = 0; r < call.rows; ++r) sum += to_float(call.x[r * channels + c]);
  const float mean = static_cast<float>(sum / rows);

  double squares = 0;
  for (int r = 0; r < call.rows; ++r) {
    const float d = to_float(call.x[r * channels + c]) - mean;
    squares += d * d;
  }
  const float rstd = 1 / sqrtf(static_cast<float>(squares) / rows + call.eps);

  const float scale = call.gamma[c] * rstd, beta = call.beta[c];
  for (int r = 0; r < call.rows; ++r) {
    const int64_t i = r * channels + c;
    call.y[i] = from_float<T>(affine(to_float(call.x[i]) - mean, scale, beta));
  }
  call.mean[c] = mean;
  call.rstd[c] = rstd;
}

/// One thread per element.
template <class T>
__global__ void __launch_bounds__(256) relu(T* y, int64_t count) {
  await_previous_kernel();
  const int64_t i = thread_of_grid();
  if (i >= count) return;
  const float value = to_float(y[i]);
  y[i] = from_float<T>(gated(value, value));
}

template <class T>
void run(const BatchNormForward<T>& call, Context& context) {
  LAUNCH(context, normalise<T>, blocks_for(call.channels, 32), 32, 0, call);
  const int64_t count = int64_t{call.rows} * call.channels;
  LAUNCH(context, relu<T>, blocks_for(count, 256), 256, 0, call.y, count);
}

}  // namespace stopgrad::ladder::batch_norm_forward::thread_per_channel
