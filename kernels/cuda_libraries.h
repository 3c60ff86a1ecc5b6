#pragma once
// Handles and plans of cuDNN and cuBLASLt for one context.
#include <functional>
#include <map>
#include <memory>
#include <tuple>
#include <vector>

#include "kernels/cuda_context.h"
#include "kernels/cuda_conv_graph.h"
#include "kernels/cuda_plan_book.h"

namespace stopgrad::cuda {

/// Operation graph and engine of one convolution, kept for as long as the context lives.
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
  const Cudnn& dnn();
  const CublasLtFunctions& blas();

  /// Throw on any status but success, as Context::check does; "not supported" names what was asked for.
  void check(cudnnStatus_t status, const char* call, const char* what = "");
  void check(cublasStatus_t status, const char* call, const char* what = "");

  /// Opens both libraries at first use: their versions are part of what a choice holds for.
  PlanBook& book();
  /// Whether the book has an algorithm or engine for a plan and find(text) finds it: then it is in use.
  bool take_kept(const std::string& key, const std::function<bool(const std::string&)>& find);
  /// The one to take where it has none, by its place in what the library offers: the one that search() finds;
  /// what the library ranks first when nothing is searched for or memory for the search is short.
  size_t choose(const std::string& key, const std::vector<std::string>& offered,
                const std::function<int()>& search);
  bool searches() const { return searches_; }

  using ConvKey = std::tuple<ConvDirection, DType, FloatMath, bool, int, int, int, int, int, int, int, int>;
  using GemmKey = std::tuple<DType, DType, FloatMath, int, int, int, bool, bool, bool>;
  std::map<ConvKey, std::shared_ptr<ConvPlan>> conv_plans;
  std::map<GemmKey, std::shared_ptr<GemmPlan>> gemm_plans;
  Context& context;

 private:
  std::unique_ptr<Cudnn> dnn_;
  std::unique_ptr<CublasLtFunctions> blas_;
  std::unique_ptr<PlanBook> book_;
  bool searches_;
  cudnnHandle_t cudnn_ = nullptr;
  cublasLtHandle_t cublaslt_ = nullptr;
};

/// Bytes of workspace a matrix product may ask for.
inline constexpr size_t kWorkspace = size_t{32} << 20;

}  // namespace stopgrad::cuda
