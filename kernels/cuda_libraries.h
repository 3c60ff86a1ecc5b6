#pragma once
// cuDNN and cuBLASLt behind one table of function pointers, filled at first use: a program starts without
// them, says which one is missing, and the emulated device has stand-ins for all of them.
#include <cublasLt.h>
#include <cudnn.h>

#include <functional>
#include <map>
#include <memory>
#include <tuple>
#include <vector>

#include "kernels/conv2d.h"
#include "kernels/cuda_context.h"
#include "kernels/cuda_plan_book.h"

// clang-format off
#define STOPGRAD_CUDNN_FUNCTIONS(F) \
  F(cudnnGetErrorString) F(cudnnGetVersion) F(cudnnCreate) F(cudnnDestroy) F(cudnnSetStream) \
  F(cudnnCreateTensorDescriptor) F(cudnnSetTensor4dDescriptor) F(cudnnDestroyTensorDescriptor) \
  F(cudnnCreateFilterDescriptor) F(cudnnSetFilter4dDescriptor) F(cudnnDestroyFilterDescriptor) \
  F(cudnnCreateConvolutionDescriptor) F(cudnnSetConvolution2dDescriptor) \
  F(cudnnSetConvolutionMathType) F(cudnnDestroyConvolutionDescriptor) \
  F(cudnnGetConvolutionForwardAlgorithm_v7) F(cudnnGetConvolutionBackwardDataAlgorithm_v7) \
  F(cudnnGetConvolutionBackwardFilterAlgorithm_v7) F(cudnnConvolutionForward) \
  F(cudnnConvolutionBackwardData) F(cudnnConvolutionBackwardFilter)

#define STOPGRAD_CUBLASLT_FUNCTIONS(F) \
  F(cublasLtGetStatusString) F(cublasLtGetVersion) F(cublasLtCreate) F(cublasLtDestroy) \
  F(cublasLtMatmulDescCreate) F(cublasLtMatmulDescSetAttribute) F(cublasLtMatmulDescDestroy) \
  F(cublasLtMatrixLayoutCreate) F(cublasLtMatrixLayoutDestroy) F(cublasLtMatmulPreferenceCreate) \
  F(cublasLtMatmulPreferenceSetAttribute) F(cublasLtMatmulPreferenceDestroy) \
  F(cublasLtMatmulAlgoGetHeuristic) F(cublasLtMatmul)
// clang-format on

namespace stopgrad::cuda {

enum class Library { cudnn, cublaslt };

/// The address of a library's function. Error(Exit::device) when the library or the function is not to be
/// had: the message names the file and how to get it. The emulated device has its own definition.
void* find_function(Library library, const char* name);

struct CudnnFunctions {
#define STOPGRAD_MEMBER(name) decltype(&::name) name;
  STOPGRAD_CUDNN_FUNCTIONS(STOPGRAD_MEMBER)
};
struct CublasLtFunctions {
  STOPGRAD_CUBLASLT_FUNCTIONS(STOPGRAD_MEMBER)
#undef STOPGRAD_MEMBER
};

enum class ConvDirection { forward, backward_input, backward_weight };

/// Descriptors and the algorithm for one convolution, kept for as long as the context lives.
class ConvPlan;
/// The same for one matrix product.
class GemmPlan;

/// Handles, plans and workspace of one context. The environment's STOPGRAD_PLAN_SEARCH decides how a plan
/// takes its algorithm: "auto" times what the library offers, "off" takes what it ranks first. Unset is auto;
/// on the emulated device, whose times say nothing, off.
struct Libraries {
  explicit Libraries(Context& context);
  ~Libraries();

  /// Each opens its library at first use.
  cudnnHandle_t cudnn();
  cublasLtHandle_t cublaslt();
  const CudnnFunctions& dnn();
  const CublasLtFunctions& blas();

  /// Throw on any status but success, as Context::check does; "not supported" names what was asked for.
  void check(cudnnStatus_t status, const char* call, const char* what = "");
  void check(cublasStatus_t status, const char* call, const char* what = "");

  /// Opens both libraries at first use: their versions are part of what a choice holds for.
  PlanBook& book();
  /// The algorithm to take for a plan, by its place in what the library offers: the one the book has; else
  /// the one that search() finds; what the library ranks first when nothing is searched for or memory for the
  /// search is short.
  size_t choose(const std::string& key, const std::vector<std::string>& offered,
                const std::function<int()>& search);

  using ConvKey = std::tuple<ConvDirection, DType, FloatMath, int, int, int, int, int, int, int, int>;
  using GemmKey = std::tuple<DType, DType, FloatMath, int, int, int, bool, bool, bool>;
  std::map<ConvKey, std::shared_ptr<ConvPlan>> conv_plans;
  std::map<GemmKey, std::shared_ptr<GemmPlan>> gemm_plans;
  Context& context;

 private:
  std::unique_ptr<CudnnFunctions> dnn_;
  std::unique_ptr<CublasLtFunctions> blas_;
  std::unique_ptr<PlanBook> book_;
  bool searches_;
  cudnnHandle_t cudnn_ = nullptr;
  cublasLtHandle_t cublaslt_ = nullptr;
};

/// Bytes of workspace a matrix product may ask for, and a convolution that is searched for.
inline constexpr size_t kWorkspace = size_t{32} << 20, kConvWorkspace = size_t{1} << 30;

}  // namespace stopgrad::cuda
