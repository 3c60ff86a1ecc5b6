#pragma once
// One convolution as an operation graph of cuDNN, and the engines that can run it. No device is needed to
// ask.
#include <string>
#include <vector>

#include "kernels/conv2d.h"
#include "kernels/cuda_descriptor.h"

namespace stopgrad::cuda {

enum class ConvDirection { forward, backward_input, backward_weight };

/// Bytes of workspace that a convolution may ask for.
inline constexpr size_t kConvWorkspace = size_t{1} << 30;

/// What plans are made for: the device of a handle, or one that is described and need not be here.
struct ConvTarget {
  cudnnHandle_t handle = nullptr;
  const Descriptor* properties = nullptr;
};

/// An engine with its settings, ready to run.
struct ConvEngine {
  std::string text;  // the engine's number, then its knobs: "22 2=5 13=1"
  size_t workspace;
  Descriptor config, plan;
};

class ConvGraph {
 public:
  /// NHWC, sums in float; `accumulate`: the result is added to what is there. Pointers are to be multiples of
  /// kAlignment. Error(Exit::device) naming `what` when cuDNN knows no such convolution.
  ConvGraph(const Cudnn& dnn, ConvTarget target, ConvDirection direction, const ConvShape& shape, DType dtype,
            bool accumulate, const std::string& what);

  /// Engines that give the same bits on every run and keep to the arithmetic: tensor cores or none. Those of
  /// cuDNN's two ranks, the better ones of each, else what it falls back to; never empty.
  std::vector<ConvEngine> offered(bool tensor_cores) const;

  /// Starts an engine's plan on the stream of the handle, which Libraries::cudnn() is asked for at each
  /// launch; false where cuDNN finds only now that it cannot.
  bool launch(const ConvEngine& engine, cudnnHandle_t handle, const void* x, const void* w, const void* y,
              void* workspace) const;

  static constexpr int64_t kAlignment = 16;  // bytes

 private:
  void offer(cudnnBackendHeurMode_t rank, bool tensor_cores, std::vector<ConvEngine>& out) const;

  const Cudnn& dnn_;
  const ConvTarget target_;
  const std::string what_;
  Descriptor x_, w_, y_, convolution_, operation_, graph_;
};

}  // namespace stopgrad::cuda
