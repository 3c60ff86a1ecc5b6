#pragma once
// What one would otherwise use: the libraries' batch norms, on the memory of ours. Empty where the library is
// not there or does not compute such a call.
#include "bench/kernels/subject.h"

namespace stopgrad::bench {

// oneDNN on the CPU: one group, no residual.
template <class T>
Baseline<BatchNormForward<T>> onednn_batch_norm(const BatchNormForward<T>&, const Device&);
template <class T>
Baseline<BatchNormBackward<T>> onednn_batch_norm(const BatchNormBackward<T>&, const Device&);

// cuDNN on CUDA: one group.
template <class T>
Baseline<BatchNormForward<T>> cudnn_batch_norm(const BatchNormForward<T>&, const Device&);
template <class T>
Baseline<BatchNormBackward<T>> cudnn_batch_norm(const BatchNormBackward<T>&, const Device&);

template <class T, template <class> class Call>
Baseline<Call<T>> library_batch_norm([[maybe_unused]] const Call<T>& call,
                                     [[maybe_unused]] const Device& device) {
#if defined(STOPGRAD_CUDA)
  if (device.cuda) return cudnn_batch_norm(call, device);
#endif
#if defined(STOPGRAD_BENCH_ONEDNN)
  if (device.cpu) return onednn_batch_norm(call, device);
#endif
  return {};
}

}  // namespace stopgrad::bench
