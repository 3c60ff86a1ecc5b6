// cuDNN's batch norm through bench/cudnn_batch_norm.h.
#if defined(STOPGRAD_CUDA)
#include "bench/cudnn_batch_norm.h"
#include "bench/kernels/baseline.h"
#include "kernels/cuda_context.h"

namespace stopgrad::bench {
namespace {

/// What prepare() returns after it has run once; empty where cuDNN, or a kernel of it for this call, is not
/// there, which some functions say only when they run.
template <class F>
auto or_none(const Device& device, F prepare) -> decltype(prepare()) {
  try {
    return prepare();
  } catch (const Error&) {
    if (!device.cuda->usable()) throw;
    return {};
  }
}

}  // namespace

template <class T>
Baseline<BatchNormForward<T>> cudnn_batch_norm(const BatchNormForward<T>& call, const Device& device) {
  if (call.groups != 1 || !call.gamma || !call.beta || (call.residual && !call.relu)) return {};
  return or_none(device, [&]() -> Baseline<BatchNormForward<T>> {
    const auto library = std::make_shared<CudnnBatchNorm<T>>(*device.cuda, call.rows, call.channels,
                                                             call.relu, call.residual != nullptr);
    library->forward(call);
    return {"cuDNN", [library](const BatchNormForward<T>& c) { library->forward(c); }};
  });
}

/// Its backward wants what its forward left: y, for the ReLU, and a reserve.
template <class T>
Baseline<BatchNormBackward<T>> cudnn_batch_norm(const BatchNormBackward<T>& call, const Device& device) {
  if (call.groups != 1 || !call.gamma || !call.beta || call.has_residual) return {};
  cuda::Context* const context = device.cuda;
  const auto allocate = [context](size_t bytes) {
    return std::shared_ptr<void>(context->allocate(bytes), [context](void* at) { context->free(at); });
  };
  const size_t channels = sizeof(float) * size_t(call.channels);
  const auto y = allocate(sizeof(T) * call.rows * call.channels), statistics = allocate(2 * channels);
  auto* const mean = static_cast<float*>(statistics.get());
  BatchNormForward<T> forward{.groups = 1,
                              .rows = call.rows,
                              .channels = call.channels,
                              .eps = 1e-5f,
                              .momentum = 0.1f,
                              .x = call.x,
                              .gamma = call.gamma,
                              .beta = call.beta,
                              .residual = nullptr,
                              .relu = call.relu,
                              .y = static_cast<T*>(y.get()),
                              .mean = mean,
                              .rstd = mean + call.channels,
                              .running_mean = nullptr,
                              .running_var = nullptr};
  return or_none(device, [&]() -> Baseline<BatchNormBackward<T>> {
    const auto library =
        std::make_shared<CudnnBatchNorm<T>>(*device.cuda, call.rows, call.channels, call.relu, false);
    library->forward(forward);
    library->backward(call, forward);
    return {"cuDNN", [library, forward, y, statistics](const BatchNormBackward<T>& c) {
              BatchNormForward<T> own = forward;
              own.gamma = c.gamma, own.beta = c.beta;
              library->backward(c, own);
            }};
  });
}

template Baseline<BatchNormForward<float>> cudnn_batch_norm(const BatchNormForward<float>&, const Device&);
template Baseline<BatchNormForward<bf16>> cudnn_batch_norm(const BatchNormForward<bf16>&, const Device&);
template Baseline<BatchNormBackward<float>> cudnn_batch_norm(const BatchNormBackward<float>&, const Device&);
template Baseline<BatchNormBackward<bf16>> cudnn_batch_norm(const BatchNormBackward<bf16>&, const Device&);

}  // namespace stopgrad::bench
#endif
