// cuDNN's batch norm by plain loops: NHWC, sums in double. A ReLU or residual inside is for bf16 and channels
// in fours only, as in the persistent kernels of cuDNN.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "tests/emulator/fake_cudnn.h"

struct cudnnActivationStruct {
  cudnnActivationMode_t mode;
};

namespace {

using namespace emulator;

/// Bytes the real ones want for their reductions and for ReLU's bits; nothing is kept there.
constexpr size_t kSpace = 512;

bool supported(cudnnBatchNormOps_t ops, cudnnTensorDescriptor_t x) {
  return ops == CUDNN_BATCHNORM_OPS_BN || (x->type == CUDNN_DATA_BFLOAT16 && x->c % 4 == 0);
}
/// Both ways to say no: a ReLU beside floats is a bad parameter, other channels are not supported.
cudnnStatus_t no(cudnnTensorDescriptor_t x) {
  return x->type == CUDNN_DATA_FLOAT ? CUDNN_STATUS_BAD_PARAM : CUDNN_STATUS_NOT_SUPPORTED;
}
cudnnStatus_t space(cudnnBatchNormOps_t ops, cudnnTensorDescriptor_t x, size_t* bytes) {
  COUNTED("cudnnGetBatchNormalizationSize");
  *bytes = kSpace;
  return supported(ops, x) ? CUDNN_STATUS_SUCCESS : no(x);
}
bool blends(const void* alpha, const void* beta) {
  return *static_cast<const float*>(alpha) != 1 || *static_cast<const float*>(beta) != 0;
}

cudnnStatus_t forward(cudnnHandle_t handle, cudnnBatchNormMode_t mode, cudnnBatchNormOps_t ops,
                      const void* alpha, const void* beta, cudnnTensorDescriptor_t x_desc, const void* x,
                      cudnnTensorDescriptor_t z_desc, const void* z, cudnnTensorDescriptor_t, void* y,
                      cudnnTensorDescriptor_t, const void* gamma, const void* shift, double factor,
                      void* running_mean, void* running_var, double eps, void* saved_mean, void* saved_rstd,
                      cudnnActivationDescriptor_t relu, void*, size_t workspace, void*, size_t reserve) {
  COUNTED("cudnnBatchNormalizationForwardTrainingEx");
  const bool adds = ops == CUDNN_BATCHNORM_OPS_BN_ADD_ACTIVATION, cuts = ops != CUDNN_BATCHNORM_OPS_BN;
  if (mode != CUDNN_BATCHNORM_SPATIAL_PERSISTENT || !supported(ops, x_desc) || blends(alpha, beta))
    return CUDNN_STATUS_NOT_SUPPORTED;
  if (workspace < kSpace || reserve < kSpace || adds != (z_desc && z) || cuts != (relu != nullptr))
    return CUDNN_STATUS_BAD_PARAM;
  const cudnnTensorStruct d = *x_desc;
  const auto floats = [](void* at) { return static_cast<float*>(at); };
  emulator::enqueue(handle->stream, [=] {
    const DeviceScope scope("cudnnBatchNormalizationForwardTrainingEx");
    const int rows = d.n * d.h * d.w;
    for (int c = 0; c < d.c; ++c) {
      const auto at = [&](int row) { return size_t(row) * size_t(d.c) + size_t(c); };
      double mean = 0, var = 0;
      for (int r = 0; r < rows; ++r) mean += get(x, at(r), d.type);
      mean /= rows;
      for (int r = 0; r < rows; ++r) var += std::pow(get(x, at(r), d.type) - mean, 2);
      const double rstd = 1 / std::sqrt(var / rows + eps);
      floats(saved_mean)[c] = float(mean);
      floats(saved_rstd)[c] = float(rstd);
      const auto follow = [&](float& kept, double now) { kept = float((1 - factor) * kept + factor * now); };
      if (running_mean) follow(floats(running_mean)[c], mean);
      if (running_var) follow(floats(running_var)[c], var / (rows - 1));
      for (int r = 0; r < rows; ++r) {
        double value = (get(x, at(r), d.type) - mean) * rstd * static_cast<const float*>(gamma)[c] +
                       static_cast<const float*>(shift)[c];
        if (adds) value += get(z, at(r), d.type);
        put(y, at(r), d.type, float(cuts ? std::max(value, 0.0) : value));
      }
    }
  });
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t backward(cudnnHandle_t handle, cudnnBatchNormMode_t mode, cudnnBatchNormOps_t ops,
                       const void* alpha, const void* beta, const void* alpha_parameter,
                       const void* beta_parameter, cudnnTensorDescriptor_t x_desc, const void* x,
                       cudnnTensorDescriptor_t, const void* y, cudnnTensorDescriptor_t, const void* dy,
                       cudnnTensorDescriptor_t, void* dz, cudnnTensorDescriptor_t, void* dx,
                       cudnnTensorDescriptor_t, const void* gamma, const void*, void* dgamma, void* dshift,
                       double, const void* saved_mean, const void* saved_rstd,
                       cudnnActivationDescriptor_t relu, void*, size_t workspace, void*, size_t reserve) {
  COUNTED("cudnnBatchNormalizationBackwardEx");
  const bool adds = ops == CUDNN_BATCHNORM_OPS_BN_ADD_ACTIVATION, cuts = ops != CUDNN_BATCHNORM_OPS_BN;
  if (mode != CUDNN_BATCHNORM_SPATIAL_PERSISTENT || !supported(ops, x_desc) || blends(alpha, beta) ||
      blends(alpha_parameter, beta_parameter))
    return CUDNN_STATUS_NOT_SUPPORTED;
  if (workspace < kSpace || reserve < kSpace || adds != (dz != nullptr) || cuts != (relu && y))
    return CUDNN_STATUS_BAD_PARAM;
  const cudnnTensorStruct d = *x_desc;
  const auto of = [](const void* at, int c) { return double(static_cast<const float*>(at)[c]); };
  emulator::enqueue(handle->stream, [=] {
    const DeviceScope scope("cudnnBatchNormalizationBackwardEx");
    const int rows = d.n * d.h * d.w;
    for (int c = 0; c < d.c; ++c) {
      const auto at = [&](int row) { return size_t(row) * size_t(d.c) + size_t(c); };
      const auto slope = [&](int r) {
        return cuts && get(y, at(r), d.type) <= 0 ? 0.0 : double(get(dy, at(r), d.type));
      };
      const auto xhat = [&](int r) {
        return (get(x, at(r), d.type) - of(saved_mean, c)) * of(saved_rstd, c);
      };
      double sum = 0, product = 0;
      for (int r = 0; r < rows; ++r) sum += slope(r), product += slope(r) * xhat(r);
      static_cast<float*>(dshift)[c] = float(sum);
      static_cast<float*>(dgamma)[c] = float(product);
      for (int r = 0; r < rows; ++r) {
        put(dx, at(r), d.type,
            float(of(gamma, c) * of(saved_rstd, c) * (slope(r) - sum / rows - xhat(r) * product / rows)));
        if (adds) put(dz, at(r), d.type, float(slope(r)));
      }
    }
  });
  return CUDNN_STATUS_SUCCESS;
}

}  // namespace

void* emulator::find_cudnn_batch_norm(const char* name) {
  const auto is = [&](const char* other) { return std::strcmp(name, other) == 0; };
  if (is("cudnnCreateTensorDescriptor")) return address(make<cudnnTensorStruct>);
  if (is("cudnnDestroyTensorDescriptor")) return address(destroy<cudnnTensorStruct>);
  if (is("cudnnSetTensor4dDescriptor"))
    return address(+[](cudnnTensorDescriptor_t t, cudnnTensorFormat_t format, cudnnDataType_t type, int n,
                       int c, int h, int w) {
      COUNTED("cudnnSetTensor4dDescriptor");
      *t = {type, n, c, h, w};
      return format == CUDNN_TENSOR_NHWC ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_NOT_SUPPORTED;
    });
  if (is("cudnnCreateActivationDescriptor")) return address(make<cudnnActivationStruct>);
  if (is("cudnnDestroyActivationDescriptor")) return address(destroy<cudnnActivationStruct>);
  if (is("cudnnSetActivationDescriptor"))
    return address(+[](cudnnActivationDescriptor_t activation, cudnnActivationMode_t mode,
                       cudnnNanPropagation_t, double) {
      COUNTED("cudnnSetActivationDescriptor");
      activation->mode = mode;
      return mode == CUDNN_ACTIVATION_RELU ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_NOT_SUPPORTED;
    });
  if (is("cudnnGetBatchNormalizationForwardTrainingExWorkspaceSize"))
    return address(+[](cudnnHandle_t, cudnnBatchNormMode_t, cudnnBatchNormOps_t ops,
                       cudnnTensorDescriptor_t x, cudnnTensorDescriptor_t, cudnnTensorDescriptor_t,
                       cudnnTensorDescriptor_t, cudnnActivationDescriptor_t,
                       size_t* bytes) { return space(ops, x, bytes); });
  if (is("cudnnGetBatchNormalizationBackwardExWorkspaceSize"))
    return address(+[](cudnnHandle_t, cudnnBatchNormMode_t, cudnnBatchNormOps_t ops,
                       cudnnTensorDescriptor_t x, cudnnTensorDescriptor_t, cudnnTensorDescriptor_t,
                       cudnnTensorDescriptor_t, cudnnTensorDescriptor_t, cudnnTensorDescriptor_t,
                       cudnnActivationDescriptor_t, size_t* bytes) { return space(ops, x, bytes); });
  if (is("cudnnGetBatchNormalizationTrainingExReserveSpaceSize"))
    return address(+[](cudnnHandle_t, cudnnBatchNormMode_t, cudnnBatchNormOps_t ops,
                       cudnnActivationDescriptor_t, cudnnTensorDescriptor_t x,
                       size_t* bytes) { return space(ops, x, bytes); });
  if (is("cudnnBatchNormalizationForwardTrainingEx")) return address(forward);
  if (is("cudnnBatchNormalizationBackwardEx")) return address(backward);
  return nullptr;
}
