#include "bench/cudnn_batch_norm.h"

#include "kernels/check.h"
#include "kernels/cuda_libraries.h"

namespace stopgrad::bench {

namespace {

// clang-format off
#define STOPGRAD_BATCH_NORM_FUNCTIONS(F) \
  F(cudnnCreateTensorDescriptor) F(cudnnSetTensor4dDescriptor) F(cudnnDestroyTensorDescriptor) \
  F(cudnnCreateActivationDescriptor) F(cudnnSetActivationDescriptor) F(cudnnDestroyActivationDescriptor) \
  F(cudnnGetBatchNormalizationForwardTrainingExWorkspaceSize) \
  F(cudnnGetBatchNormalizationBackwardExWorkspaceSize) \
  F(cudnnGetBatchNormalizationTrainingExReserveSpaceSize) \
  F(cudnnBatchNormalizationForwardTrainingEx) F(cudnnBatchNormalizationBackwardEx)
// clang-format on

/// Functions that the engine's own table does without.
struct Functions {
#define STOPGRAD_MEMBER(name) \
  decltype(&::name) name =    \
      reinterpret_cast<decltype(&::name)>(cuda::find_function(cuda::Library::cudnn, #name));
  STOPGRAD_BATCH_NORM_FUNCTIONS(STOPGRAD_MEMBER)
#undef STOPGRAD_MEMBER
};

constexpr cudnnBatchNormMode_t kMode = CUDNN_BATCHNORM_SPATIAL_PERSISTENT;
constexpr float kZero = 0, kOne = 1;

/// Rows as height: with 1x1 images NHWC could not be told from NCHW.
int height_of(int rows) {
  int height = 1;
  while (height < 1024 && rows % (2 * height) == 0) height *= 2;
  return height;
}

}  // namespace

template <class T>
struct CudnnBatchNorm<T>::Impl {
  Impl(cuda::Context& owner, int rows, int channels, bool relu, bool residual)
      : context(owner),
        libraries(owner.libraries()),
        rows(rows),
        channels(channels),
        ops(!relu      ? CUDNN_BATCHNORM_OPS_BN
            : residual ? CUDNN_BATCHNORM_OPS_BN_ADD_ACTIVATION
                       : CUDNN_BATCHNORM_OPS_BN_ACTIVATION) {
    what = fmt::format("batch norm{}{} of {} [{}, {}]", residual ? " + residual" : "", relu ? " + ReLU" : "",
                       name_of(dtype_of<T>), rows, channels);
    ENSURE(relu || !residual, "cudnn: {}: a residual comes with a ReLU", what);
  }
  /// Apart from the constructor, so that the destructor gives back what a failure leaves.
  void prepare() {
    const cudnnDataType_t type = dtype_of<T> == DType::bf16 ? CUDNN_DATA_BFLOAT16 : CUDNN_DATA_FLOAT;
    const int height = height_of(rows);
    check(f.cudnnCreateTensorDescriptor(&x), "cudnnCreateTensorDescriptor");
    check(f.cudnnCreateTensorDescriptor(&parameter), "cudnnCreateTensorDescriptor");
    check(f.cudnnCreateActivationDescriptor(&activation), "cudnnCreateActivationDescriptor");
    check(f.cudnnSetTensor4dDescriptor(x, CUDNN_TENSOR_NHWC, type, rows / height, channels, height, 1),
          "cudnnSetTensor4dDescriptor");
    check(f.cudnnSetTensor4dDescriptor(parameter, CUDNN_TENSOR_NHWC, CUDNN_DATA_FLOAT, 1, channels, 1, 1),
          "cudnnSetTensor4dDescriptor");
    check(f.cudnnSetActivationDescriptor(activation, CUDNN_ACTIVATION_RELU, CUDNN_PROPAGATE_NAN, 0),
          "cudnnSetActivationDescriptor");
    if (ops != CUDNN_BATCHNORM_OPS_BN) y = x, relu = activation;
    if (ops == CUDNN_BATCHNORM_OPS_BN_ADD_ACTIVATION) z = x;
    const cudnnHandle_t handle = libraries.cudnn();
    size_t forward = 0, backward = 0;
    check(f.cudnnGetBatchNormalizationForwardTrainingExWorkspaceSize(handle, kMode, ops, x, z, x, parameter,
                                                                     relu, &forward),
          "cudnnGetBatchNormalizationForwardTrainingExWorkspaceSize");
    check(f.cudnnGetBatchNormalizationBackwardExWorkspaceSize(handle, kMode, ops, x, y, x, z, x, parameter,
                                                              relu, &backward),
          "cudnnGetBatchNormalizationBackwardExWorkspaceSize");
    check(f.cudnnGetBatchNormalizationTrainingExReserveSpaceSize(handle, kMode, ops, relu, x, &reserve_bytes),
          "cudnnGetBatchNormalizationTrainingExReserveSpaceSize");
    workspace_bytes = std::max(forward, backward);
    if (reserve_bytes) reserve = context.allocate(reserve_bytes);
  }
  ~Impl() {
    if (!context.usable()) return;
    context.free(reserve);
    if (x) f.cudnnDestroyTensorDescriptor(x);
    if (parameter) f.cudnnDestroyTensorDescriptor(parameter);
    if (activation) f.cudnnDestroyActivationDescriptor(activation);
  }
  /// These functions refuse what they have no kernel for as "bad parameter" too, with the device well.
  void check(cudnnStatus_t status, const char* call) {
    const cuda::Cudnn& dnn = libraries.dnn();
    if (dnn.is_refusal(status, call))
      fail(Exit::device, "{}: cuDNN {} does not compute {} ({})", call, dnn.cudnnGetVersion(), what,
           dnn.cudnnGetErrorString(status));
  }

  cuda::Context& context;
  cuda::Libraries& libraries;
  Functions f;
  int rows, channels;
  cudnnBatchNormOps_t ops;
  std::string what;
  cudnnTensorDescriptor_t x = nullptr, parameter = nullptr;
  cudnnActivationDescriptor_t activation = nullptr;
  // Of the residual, and of y in backward, and the ReLU: null where the operation has none.
  cudnnTensorDescriptor_t z = nullptr, y = nullptr;
  cudnnActivationDescriptor_t relu = nullptr;
  void* reserve = nullptr;
  size_t reserve_bytes = 0, workspace_bytes = 0;
};

template <class T>
CudnnBatchNorm<T>::CudnnBatchNorm(cuda::Context& context, int rows, int channels, bool relu, bool residual)
    : impl_(std::make_unique<Impl>(context, rows, channels, relu, residual)) {
  impl_->prepare();
}
template <class T>
CudnnBatchNorm<T>::~CudnnBatchNorm() = default;

template <class T>
void CudnnBatchNorm<T>::forward(const BatchNormForward<T>& call) {
  Impl& i = *impl_;
  ENSURE(call.groups == 1 && call.rows == i.rows && call.channels == i.channels && call.gamma && call.beta,
         "cudnn batch norm: one group of the sizes it was made for, with gamma and beta");
  i.check(i.f.cudnnBatchNormalizationForwardTrainingEx(
              i.libraries.cudnn(), kMode, i.ops, &kOne, &kZero, i.x, call.x, i.z, call.residual, i.x, call.y,
              i.parameter, call.gamma, call.beta, call.momentum, call.running_mean, call.running_var,
              call.eps, call.mean, call.rstd, i.relu, i.context.scratch(i.workspace_bytes), i.workspace_bytes,
              i.reserve, i.reserve_bytes),
          "cudnnBatchNormalizationForwardTrainingEx");
}

template <class T>
void CudnnBatchNorm<T>::backward(const BatchNormBackward<T>& call, const BatchNormForward<T>& forward) {
  Impl& i = *impl_;
  ENSURE(call.dx && call.dgamma && call.dbeta && !call.accumulate_dx && !call.accumulate_dgamma &&
             !call.accumulate_dbeta && !call.accumulate_dresidual,
         "cudnn batch norm: gradients of x, gamma and beta, without accumulating");
  i.check(i.f.cudnnBatchNormalizationBackwardEx(
              i.libraries.cudnn(), kMode, i.ops, &kOne, &kZero, &kOne, &kZero, i.x, call.x, i.y,
              i.y ? forward.y : nullptr, i.x, call.dy, i.z, call.dresidual, i.x, call.dx, i.parameter,
              forward.gamma, forward.beta, call.dgamma, call.dbeta, forward.eps, call.mean, call.rstd, i.relu,
              i.context.scratch(i.workspace_bytes), i.workspace_bytes, i.reserve, i.reserve_bytes),
          "cudnnBatchNormalizationBackwardEx");
}

template class CudnnBatchNorm<float>;
template class CudnnBatchNorm<bf16>;

}  // namespace stopgrad::bench
