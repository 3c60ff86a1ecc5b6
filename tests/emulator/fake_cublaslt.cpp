// cuBLASLt's matrix product by plain loops, columns first as the library counts, with a bias per row of the
// result.
#include <cublasLt.h>

#include <algorithm>
#include <cstring>
#include <new>

#include "kernels/dtype.h"
#include "tests/emulator/device_memory.h"
#include "tests/emulator/fake_libraries.h"
#include "tests/emulator/runtime_calls.h"

using stopgrad::bf16;

namespace {

#define COUNTED(name) \
  if (emulator::next_call(name) != cudaSuccess) return CUBLAS_STATUS_EXECUTION_FAILED

struct Operation {
  cublasOperation_t transpose_a = CUBLAS_OP_N, transpose_b = CUBLAS_OP_N;
  cublasLtEpilogue_t epilogue = CUBLASLT_EPILOGUE_DEFAULT;
  const float* bias = nullptr;
};
struct Layout {
  cudaDataType type;
  uint64_t rows, columns;
  int64_t stride;
};

/// What a new preference allows, by the library's manual.
struct Preference {
  size_t workspace = 0;
  uint32_t reductions = CUBLASLT_REDUCTION_SCHEME_MASK;
};

Preference* as_preference(cublasLtMatmulPreference_t p) { return reinterpret_cast<Preference*>(p); }
Operation* as_operation(cublasLtMatmulDesc_t d) { return reinterpret_cast<Operation*>(d); }
const Layout& as_layout(cublasLtMatrixLayout_t l) { return *reinterpret_cast<const Layout*>(l); }

float get(const void* at, const Layout& layout, uint64_t row, uint64_t column) {
  const size_t i = row + column * static_cast<uint64_t>(layout.stride);
  return layout.type == CUDA_R_16BF ? static_cast<float>(static_cast<const bf16*>(at)[i])
                                    : static_cast<const float*>(at)[i];
}
void put(void* at, const Layout& layout, uint64_t row, uint64_t column, float value) {
  const size_t i = row + column * static_cast<uint64_t>(layout.stride);
  if (layout.type == CUDA_R_16BF) static_cast<bf16*>(at)[i] = bf16(value);
  else static_cast<float*>(at)[i] = value;
}

cublasStatus_t matmul(cublasLtHandle_t, cublasLtMatmulDesc_t operation, const void* alpha, const void* a,
                      cublasLtMatrixLayout_t a_layout, const void* b, cublasLtMatrixLayout_t b_layout,
                      const void* beta, const void* c, cublasLtMatrixLayout_t, void* d,
                      cublasLtMatrixLayout_t d_layout, const cublasLtMatmulAlgo_t* algorithm, void*, size_t,
                      cudaStream_t stream) {
  COUNTED("cublasLtMatmul");
  const auto number = static_cast<int>(algorithm->data[0]);
  if (number < 0 || number > 2) return CUBLAS_STATUS_NOT_SUPPORTED;
  if (emulator::failing(number) == emulator::Failing::when_run) return CUBLAS_STATUS_EXECUTION_FAILED;
  emulator::spend_time_of(number);
  const Operation op = *as_operation(operation);
  const Layout la = as_layout(a_layout), lb = as_layout(b_layout), ld = as_layout(d_layout);
  const bool ta = op.transpose_a == CUBLAS_OP_T, tb = op.transpose_b == CUBLAS_OP_T;
  const uint64_t k = ta ? la.rows : la.columns;
  if ((ta ? la.columns : la.rows) != ld.rows || (tb ? lb.rows : lb.columns) != ld.columns ||
      (tb ? lb.columns : lb.rows) != k)
    return CUBLAS_STATUS_INVALID_VALUE;
  const float scale = *static_cast<const float*>(alpha), keep = *static_cast<const float*>(beta);
  emulator::enqueue(stream, [=] {
    const emulator::DeviceScope scope("cublasLtMatmul");
    for (uint64_t column = 0; column < ld.columns; ++column)
      for (uint64_t row = 0; row < ld.rows; ++row) {
        float sum = 0;
        for (uint64_t step = 0; step < k; ++step) {
          const uint64_t i = number == 1 ? step : k - 1 - step;
          sum += (ta ? get(a, la, i, row) : get(a, la, row, i)) *
                 (tb ? get(b, lb, column, i) : get(b, lb, i, column));
        }
        sum *= scale;
        if (op.epilogue == CUBLASLT_EPILOGUE_BIAS) sum += op.bias[row];
        if (keep != 0) sum += keep * get(c, ld, row, column);
        put(d, ld, row, column, sum);
      }
  });
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t set_attribute(cublasLtMatmulDesc_t d, cublasLtMatmulDescAttributes_t attribute,
                             const void* value, size_t bytes) {
  COUNTED("cublasLtMatmulDescSetAttribute");
  Operation& op = *as_operation(d);
  switch (attribute) {
    case CUBLASLT_MATMUL_DESC_TRANSA:
      std::memcpy(&op.transpose_a, value, bytes);
      return CUBLAS_STATUS_SUCCESS;
    case CUBLASLT_MATMUL_DESC_TRANSB:
      std::memcpy(&op.transpose_b, value, bytes);
      return CUBLAS_STATUS_SUCCESS;
    case CUBLASLT_MATMUL_DESC_EPILOGUE:
      std::memcpy(&op.epilogue, value, bytes);
      return CUBLAS_STATUS_SUCCESS;
    case CUBLASLT_MATMUL_DESC_BIAS_POINTER:
      std::memcpy(&op.bias, value, bytes);
      return CUBLAS_STATUS_SUCCESS;
    default:
      return CUBLAS_STATUS_NOT_SUPPORTED;
  }
}

cublasStatus_t set_preference(cublasLtMatmulPreference_t p, cublasLtMatmulPreferenceAttributes_t attribute,
                              const void* value, size_t bytes) {
  COUNTED("cublasLtMatmulPreferenceSetAttribute");
  Preference& preference = *as_preference(p);
  const auto set = [&](auto& to) {
    if (bytes != sizeof to) return CUBLAS_STATUS_INVALID_VALUE;
    std::memcpy(&to, value, bytes);
    return CUBLAS_STATUS_SUCCESS;
  };
  if (attribute == CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES) return set(preference.workspace);
  if (attribute == CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK) return set(preference.reductions);
  return CUBLAS_STATUS_NOT_SUPPORTED;
}

/// No bias for bf16 and less than eight rows of the result, or one row of floats: the library says so in two
/// ways. Else the algorithms by number.
cublasStatus_t heuristic(cublasLtHandle_t, cublasLtMatmulDesc_t operation, cublasLtMatrixLayout_t a,
                         cublasLtMatrixLayout_t, cublasLtMatrixLayout_t, cublasLtMatrixLayout_t d,
                         cublasLtMatmulPreference_t p, int wanted, cublasLtMatmulHeuristicResult_t* found,
                         int* count) {
  COUNTED("cublasLtMatmulAlgoGetHeuristic");
  const Operation& op = *as_operation(operation);
  const bool bias = op.epilogue == CUBLASLT_EPILOGUE_BIAS, half = as_layout(a).type == CUDA_R_16BF;
  *count = 0;
  if (bias && (op.bias == nullptr || (!half && as_layout(d).rows == 1))) return CUBLAS_STATUS_INVALID_VALUE;
  if (bias && half && as_layout(d).rows < 8) return CUBLAS_STATUS_NOT_SUPPORTED;
  const bool in_type_of_result =
      (as_preference(p)->reductions &
       (CUBLASLT_REDUCTION_SCHEME_INPLACE | CUBLASLT_REDUCTION_SCHEME_OUTPUT_TYPE)) != 0;
  for (uint64_t number = in_type_of_result ? 0 : 1; number <= 2 && *count < wanted; ++number) {
    found[*count] = {};
    found[(*count)++].algo.data[0] = number;
  }
  return CUBLAS_STATUS_SUCCESS;
}

template <class F>
void* address(F f) {
  return reinterpret_cast<void*>(f);
}

}  // namespace

void* emulator::find_cublaslt(const char* name) {
  const auto is = [&](const char* other) { return std::strcmp(name, other) == 0; };
  if (is("cublasLtGetStatusString"))
    return address(+[](cublasStatus_t) { return "CUBLAS_STATUS_EXECUTION_FAILED"; });
  if (is("cublasLtGetVersion")) return address(+[]() -> size_t { return CUBLAS_VERSION; });
  if (is("cublasLtCreate"))
    return address(+[](cublasLtHandle_t* handle) {
      COUNTED("cublasLtCreate");
      *handle = reinterpret_cast<cublasLtHandle_t>(new Operation);
      return CUBLAS_STATUS_SUCCESS;
    });
  if (is("cublasLtDestroy"))
    return address(+[](cublasLtHandle_t handle) {
      COUNTED("cublasLtDestroy");
      delete reinterpret_cast<Operation*>(handle);
      return CUBLAS_STATUS_SUCCESS;
    });
  if (is("cublasLtMatmulDescCreate"))
    return address(+[](cublasLtMatmulDesc_t* d, cublasComputeType_t, cudaDataType_t) {
      COUNTED("cublasLtMatmulDescCreate");
      *d = reinterpret_cast<cublasLtMatmulDesc_t>(new Operation);
      return CUBLAS_STATUS_SUCCESS;
    });
  if (is("cublasLtMatmulDescSetAttribute")) return address(set_attribute);
  if (is("cublasLtMatmulDescDestroy"))
    return address(+[](cublasLtMatmulDesc_t d) {
      COUNTED("cublasLtMatmulDescDestroy");
      delete as_operation(d);
      return CUBLAS_STATUS_SUCCESS;
    });
  if (is("cublasLtMatrixLayoutCreate"))
    return address(
        +[](cublasLtMatrixLayout_t* l, cudaDataType type, uint64_t rows, uint64_t columns, int64_t stride) {
          COUNTED("cublasLtMatrixLayoutCreate");
          *l = reinterpret_cast<cublasLtMatrixLayout_t>(new Layout{type, rows, columns, stride});
          return CUBLAS_STATUS_SUCCESS;
        });
  if (is("cublasLtMatrixLayoutDestroy"))
    return address(+[](cublasLtMatrixLayout_t l) {
      COUNTED("cublasLtMatrixLayoutDestroy");
      delete reinterpret_cast<Layout*>(l);
      return CUBLAS_STATUS_SUCCESS;
    });
  if (is("cublasLtMatmulPreferenceCreate"))
    return address(+[](cublasLtMatmulPreference_t* p) {
      COUNTED("cublasLtMatmulPreferenceCreate");
      *p = reinterpret_cast<cublasLtMatmulPreference_t>(new Preference);
      return CUBLAS_STATUS_SUCCESS;
    });
  if (is("cublasLtMatmulPreferenceSetAttribute")) return address(set_preference);
  if (is("cublasLtMatmulPreferenceDestroy"))
    return address(+[](cublasLtMatmulPreference_t p) {
      COUNTED("cublasLtMatmulPreferenceDestroy");
      delete as_preference(p);
      return CUBLAS_STATUS_SUCCESS;
    });
  if (is("cublasLtMatmulAlgoGetHeuristic")) return address(heuristic);
  if (is("cublasLtMatmul")) return address(matmul);
  return nullptr;
}
