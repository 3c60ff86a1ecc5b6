// Matrix products on CUDA: cuBLASLt's. It counts columns first, so the row-major product c = a b is asked for
// as c' = b' a', whose matrices are ours read column by column; a bias per column of c is one per row of c'.
#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "kernels/check.h"
#include "kernels/cuda_epilogues.h"
#include "kernels/cuda_libraries.h"
#include "kernels/cuda_plan_search.h"
#include "kernels/gemm.h"

namespace stopgrad::cuda {

namespace {
constexpr cudaDataType_t type_of(DType type) { return type == DType::bf16 ? CUDA_R_16BF : CUDA_R_32F; }

std::string text_of(const cublasLtMatmulAlgo_t& algorithm) {
  std::string out;
  for (const uint64_t word : algorithm.data) out += fmt::format("{}{:x}", out.empty() ? "" : " ", word);
  return out;
}
}  // namespace

class GemmPlan {
 public:
  template <class T, class Out>
  GemmPlan(Libraries& libraries, const Gemm<T, Out>& call, FloatMath math) : libraries_(libraries) {
    const auto& f = libraries.blas();
    what_ = fmt::format("a product of {} [{}, {}] and [{}, {}]", name_of(dtype_of<T>), call.m, call.k, call.k,
                        call.n);
    key_ = fmt::format("gemm, {} to {}{}, {} x {} x {}{}{}{}", name_of(dtype_of<T>), name_of(dtype_of<Out>),
                       math == FloatMath::tf32 && dtype_of<T> == DType::f32 ? " in tf32" : "", call.m, call.n,
                       call.k, call.transpose_a ? ", a transposed" : "",
                       call.transpose_b ? ", b transposed" : "", call.bias ? ", bias" : "");
    const bool tensor_cores = dtype_of<T> == DType::f32 && math == FloatMath::tf32;
    check(f.cublasLtMatmulDescCreate(
              &operation, tensor_cores ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F, CUDA_R_32F),
          "cublasLtMatmulDescCreate");
    set(CUBLASLT_MATMUL_DESC_TRANSA, call.transpose_b ? CUBLAS_OP_T : CUBLAS_OP_N);
    set(CUBLASLT_MATMUL_DESC_TRANSB, call.transpose_a ? CUBLAS_OP_T : CUBLAS_OP_N);
    if (call.bias) {
      set(CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_EPILOGUE_BIAS);
      bias(call.bias);  // any: heuristics may refuse a bias that is nowhere
    }
    adds_bias_ = call.bias;
    layout(&b, dtype_of<T>, call.transpose_b ? call.k : call.n, call.transpose_b ? call.n : call.k);
    layout(&a, dtype_of<T>, call.transpose_a ? call.m : call.k, call.transpose_a ? call.k : call.m);
    layout(&c, dtype_of<Out>, call.n, call.m);
    const auto m = static_cast<size_t>(call.m), n = static_cast<size_t>(call.n),
               k = static_cast<size_t>(call.k);
    choose({m * k * sizeof(T), k * n * sizeof(T), m * n * sizeof(Out), call.bias ? n * sizeof(float) : 0});
  }
  ~GemmPlan() {
    if (!libraries_.context.usable()) return;
    const auto& f = libraries_.blas();
    for (const cublasLtMatrixLayout_t each : {a, b, c})
      if (each) f.cublasLtMatrixLayoutDestroy(each);
    if (operation) f.cublasLtMatmulDescDestroy(operation);
  }
  GemmPlan(const GemmPlan&) = delete;
  GemmPlan& operator=(const GemmPlan&) = delete;

  void check(cublasStatus_t status, const char* call) { libraries_.check(status, call, what_.c_str()); }
  template <class V>
  void set(cublasLtMatmulDescAttributes_t attribute, V value) {
    check(libraries_.blas().cublasLtMatmulDescSetAttribute(operation, attribute, &value, sizeof value),
          "cublasLtMatmulDescSetAttribute");
  }

  void bias(const void* at) { set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, at); }
  /// False where the library does not add the bias that was asked for: it knows none for some small sizes.
  bool adds_bias() const { return adds_bias_; }
  /// c = a b (+ c when accumulate)
  void run(const void* at_a, const void* at_b, void* at_c, bool accumulate, void* workspace) {
    check(launch(algorithm_, at_a, at_b, at_c, accumulate, workspace), "cublasLtMatmul");
  }

  cublasLtMatmulDesc_t operation = nullptr;
  cublasLtMatrixLayout_t a = nullptr, b = nullptr, c = nullptr;

 private:
  struct Bytes {
    size_t a, b, c, bias;
  };
  void layout(cublasLtMatrixLayout_t* out, DType dtype, int rows, int columns) {
    check(libraries_.blas().cublasLtMatrixLayoutCreate(out, type_of(dtype), static_cast<uint64_t>(rows),
                                                       static_cast<uint64_t>(columns), rows),
          "cublasLtMatrixLayoutCreate");
  }

  cublasStatus_t launch(const cublasLtMatmulAlgo_t& algorithm, const void* at_a, const void* at_b, void* at_c,
                        bool accumulate, void* workspace) {
    const float one = 1, beta = accumulate ? 1.0f : 0.0f;
    return libraries_.blas().cublasLtMatmul(libraries_.cublaslt(), operation, &one, at_b, b, at_a, a, &beta,
                                            at_c, c, at_c, c, &algorithm, workspace, kWorkspace,
                                            libraries_.context.stream());
  }

  void choose(const Bytes& bytes) {
    std::vector<cublasLtMatmulAlgo_t> candidates = offered();
    if (candidates.empty() && adds_bias_) {
      set(CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_EPILOGUE_DEFAULT);
      adds_bias_ = false;
      candidates = offered();
    }
    if (candidates.empty())
      fail(Exit::device, "cublasLtMatmulAlgoGetHeuristic: cuBLASLt {} offers nothing for {} ({})",
           libraries_.blas().cublasLtGetVersion(), what_, libraries_.blas().cublasLtGetStatusString(said_));
    std::vector<std::string> names;
    for (const cublasLtMatmulAlgo_t& each : candidates) names.push_back(text_of(each));
    const auto take = [&](size_t i) { algorithm_ = candidates[i]; };
    const auto find = [&](const std::string& text) {
      const auto at = std::find(names.begin(), names.end(), text);
      if (at != names.end()) take(static_cast<size_t>(at - names.begin()));
      return at != names.end();
    };
    if (!libraries_.take_kept(key_, find))
      take(libraries_.choose(key_, names, [&] { return search(candidates, bytes); }));
  }

  /// In the library's order. None whose partial sums are kept in the type of the result, which may be bf16.
  /// None either where the library fails and the device is well: it says no to odd shapes in several ways.
  std::vector<cublasLtMatmulAlgo_t> offered() {
    const auto& f = libraries_.blas();
    cublasLtMatmulPreference_t preference = nullptr;
    check(f.cublasLtMatmulPreferenceCreate(&preference), "cublasLtMatmulPreferenceCreate");
    const auto prefer = [&](cublasLtMatmulPreferenceAttributes_t attribute, auto value) {
      check(f.cublasLtMatmulPreferenceSetAttribute(preference, attribute, &value, sizeof value),
            "cublasLtMatmulPreferenceSetAttribute");
    };
    prefer(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, kWorkspace);
    prefer(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
           uint32_t{CUBLASLT_REDUCTION_SCHEME_NONE | CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE});
    cublasLtMatmulHeuristicResult_t found[8] = {};
    int count = 0;
    said_ = f.cublasLtMatmulAlgoGetHeuristic(libraries_.cublaslt(), operation, b, a, c, c, preference, 8,
                                             found, &count);
    if (said_ != CUBLAS_STATUS_SUCCESS) {
      count = 0;
      if (!libraries_.context.survives()) check(said_, "cublasLtMatmulAlgoGetHeuristic");
    }
    f.cublasLtMatmulPreferenceDestroy(preference);
    std::vector<cublasLtMatmulAlgo_t> out;
    for (int i = 0; i < count; ++i)
      if (found[i].state == CUBLAS_STATUS_SUCCESS) out.push_back(found[i].algo);
    return out;
  }

  int search(const std::vector<cublasLtMatmulAlgo_t>& candidates, const Bytes& bytes) {
    SearchMemory memory(libraries_.context);
    const void* const at_a = memory.add(bytes.a);
    const void* const at_b = memory.add(bytes.b);
    void* const at_c = memory.add(bytes.c);
    if (bytes.bias) bias(memory.add(bytes.bias));
    void* const workspace = memory.add(kWorkspace);
    cublasStatus_t last = CUBLAS_STATUS_SUCCESS;
    const size_t operands = bytes.a + bytes.b + bytes.c + bytes.bias;
    const int best = fastest(libraries_.context, static_cast<int>(candidates.size()), operands, [&](int i) {
      const cublasStatus_t status = launch(candidates[size_t(i)], at_a, at_b, at_c, false, workspace);
      if (status == CUBLAS_STATUS_SUCCESS) return true;
      last = status;
      if (!libraries_.context.survives()) check(status, "cublasLtMatmul");
      return false;
    });
    if (best < 0) check(last, "cublasLtMatmul");
    return best;
  }

  Libraries& libraries_;
  std::string what_, key_;
  bool adds_bias_ = false;
  cublasStatus_t said_ = CUBLAS_STATUS_SUCCESS;  // by the heuristics, last
  cublasLtMatmulAlgo_t algorithm_{};
};

namespace {

template <class T, class Out>
void multiply(const Gemm<T, Out>& call, void* workspace, Context& context) {
  Libraries& libraries = context.libraries();
  auto& kept = libraries.gemm_plans[{dtype_of<T>, dtype_of<Out>, context.float_math, call.m, call.n, call.k,
                                     call.transpose_a, call.transpose_b, call.bias != nullptr}];
  if (!kept) {
    context.refuse_during_capture("a plan of a matrix product would be made");
    kept = std::make_shared<GemmPlan>(libraries, call, context.float_math);
  }
  GemmPlan& p = *kept;
  if (call.bias) p.bias(call.bias);
  p.run(call.a, call.b, call.c, call.accumulate, workspace);
  if (call.bias && !p.adds_bias()) add_bias(nullptr, call.bias, call.c, call.m, call.n, true, context);
}

}  // namespace

/// A bias of floats cannot be added to bf16 by the library: that product goes through floats in scratch
/// memory.
template <class T, class Out>
void run(const Gemm<T, Out>& call, Context& context) {
  if constexpr (std::is_same_v<Out, bf16>) {
    if (call.bias) {
      auto* const scratch =
          static_cast<char*>(context.scratch(kWorkspace + sizeof(float) * size_t(call.m) * size_t(call.n)));
      auto* const product = reinterpret_cast<float*>(scratch + kWorkspace);
      const Gemm<T, float> plain{call.m, call.n,  call.k, call.transpose_a, call.transpose_b, call.a,
                                 call.b, product, false,  nullptr};
      multiply(plain, scratch, context);
      add_bias(product, call.bias, call.c, call.m, call.n, call.accumulate, context);
      return;
    }
  }
  multiply(call, context.scratch(kWorkspace), context);
}

template void run(const Gemm<float, float>&, Context&);
template void run(const Gemm<bf16, bf16>&, Context&);
template void run(const Gemm<bf16, float>&, Context&);

}  // namespace stopgrad::cuda
