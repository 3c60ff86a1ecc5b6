#include "kernels/cuda_libraries.h"

#include <cuda_runtime_api.h>

#include "kernels/check.h"

namespace stopgrad::cuda {

Libraries::Libraries(Context& context) : context(context) {}

Libraries::~Libraries() {
  conv_plans.clear();
  gemm_plans.clear();
  if (!context.usable()) return;  // no further call on a broken device
  if (cudnn_) dnn_->cudnnDestroy(cudnn_);
  if (cublaslt_) blas_->cublasLtDestroy(cublaslt_);
}

const CudnnFunctions& Libraries::dnn() {
  if (!dnn_) {
    auto table = std::make_unique<CudnnFunctions>();
#define STOPGRAD_FILL(name) \
  table->name = reinterpret_cast<decltype(&::name)>(find_function(Library::cudnn, #name));
    STOPGRAD_CUDNN_FUNCTIONS(STOPGRAD_FILL)
#undef STOPGRAD_FILL
    dnn_ = std::move(table);
  }
  return *dnn_;
}

const CublasLtFunctions& Libraries::blas() {
  if (!blas_) {
    auto table = std::make_unique<CublasLtFunctions>();
#define STOPGRAD_FILL(name) \
  table->name = reinterpret_cast<decltype(&::name)>(find_function(Library::cublaslt, #name));
    STOPGRAD_CUBLASLT_FUNCTIONS(STOPGRAD_FILL)
#undef STOPGRAD_FILL
    blas_ = std::move(table);
  }
  return *blas_;
}

cudnnHandle_t Libraries::cudnn() {
  if (!cudnn_) {
    check(dnn().cudnnCreate(&cudnn_), "cudnnCreate");
    check(dnn().cudnnSetStream(cudnn_, context.stream()), "cudnnSetStream");
  }
  return cudnn_;
}

cublasLtHandle_t Libraries::cublaslt() {
  if (!cublaslt_) check(blas().cublasLtCreate(&cublaslt_), "cublasLtCreate");
  return cublaslt_;
}

void Libraries::check(cudnnStatus_t status, const char* call, const char* what) {
  if (status == CUDNN_STATUS_SUCCESS) return;
  const char* const says = dnn().cudnnGetErrorString(status);
  if (status >= CUDNN_STATUS_NOT_SUPPORTED && status < CUDNN_STATUS_NOT_SUPPORTED + 1000)
    fail(Exit::device, "{}: cuDNN {} does not support {} ({})", call, dnn().cudnnGetVersion(), what, says);
  context.fail_library(call, says, status == CUDNN_STATUS_ALLOC_FAILED);
}

void Libraries::check(cublasStatus_t status, const char* call, const char* what) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  const char* const says = blas().cublasLtGetStatusString(status);
  if (status == CUBLAS_STATUS_NOT_SUPPORTED)
    fail(Exit::device, "{}: cuBLASLt {} does not support {} ({})", call, blas().cublasLtGetVersion(), what,
         says);
  context.fail_library(call, says, status == CUBLAS_STATUS_ALLOC_FAILED);
}

}  // namespace stopgrad::cuda
