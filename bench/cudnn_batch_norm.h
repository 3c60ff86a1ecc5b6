#pragma once
// cuDNN's batch norm: the baseline that ours is compared with and timed against. The engine does not use it.
#include <memory>

#include "kernels/batch_norm.h"

namespace stopgrad::bench {

template <class T>
class CudnnBatchNorm {
 public:
  /// For calls of one group with scale and shift, in the mode NHWC persistent. Error(Exit::device) where
  /// cuDNN has no such kernel (a ReLU or residual inside may want bf16 and channels in fours); the context
  /// stays usable.
  CudnnBatchNorm(cuda::Context& context, int rows, int channels, bool relu, bool residual);
  ~CudnnBatchNorm();

  void forward(const BatchNormForward<T>& call);
  /// After forward(), whose call it takes too: cuDNN reads y and beta. Nothing is accumulated.
  void backward(const BatchNormBackward<T>& call, const BatchNormForward<T>& forward);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace stopgrad::bench
