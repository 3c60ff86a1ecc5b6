#pragma once
// One convolution as an operation graph of cuDNN, and the engines that can run it. No device is needed to
// ask.
#include <cstdint>
#include <functional>
#include <optional>
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
  /// cuDNN's two ranks, the better ones of each, else what it falls back to; at least one, at most `most`.
  /// One whose plan cannot be made is passed over.
  std::vector<ConvEngine> offered(bool tensor_cores, size_t most = SIZE_MAX) const;
  /// The one of this text, the only one for which a plan is made; nothing where there is none.
  std::optional<ConvEngine> find(const std::string& text, bool tensor_cores) const;

  /// Starts an engine's plan on the stream of the handle, which Libraries::cudnn() is asked for at each
  /// launch. cuDNN may find only now that it cannot; throws where the device has failed.
  cudnnStatus_t launch(const ConvEngine& engine, cudnnHandle_t handle, const void* x, const void* w,
                       const void* y, void* workspace) const;

  static constexpr int64_t kAlignment = 16;  // bytes

 private:
  /// Engines that failed by no fault of the device, beside those that are not supported.
  struct Refusals {
    int count = 0;
    cudnnStatus_t first = CUDNN_STATUS_SUCCESS;
  };
  using Visit = std::function<bool(const std::string& text, Descriptor& config)>;
  /// Those of a rank that may be taken, in its order, until visit returns false.
  void for_each_fit(cudnnBackendHeurMode_t rank, bool tensor_cores, const Visit& visit) const;
  std::optional<ConvEngine> finalized(const std::string& text, Descriptor& config, Refusals& refusals) const;

  const Cudnn& dnn_;
  const ConvTarget target_;
  const std::string what_;
  Descriptor x_, w_, y_, convolution_, operation_, graph_;
};

}  // namespace stopgrad::cuda
