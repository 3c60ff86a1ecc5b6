#pragma once
// What the stand-ins for cuDNN's operations share: its opaque structs, element access, counting.
#include <cudnn.h>

#include "kernels/dtype.h"
#include "tests/emulator/device_memory.h"
#include "tests/emulator/fake_libraries.h"
#include "tests/emulator/runtime_calls.h"

struct cudnnTensorStruct {
  cudnnDataType_t type;
  int n, c, h, w;
};
struct cudnnContext {
  cudaStream_t stream = nullptr;
};

namespace emulator {

#define COUNTED(name) \
  if (emulator::next_call(name) != cudaSuccess) return CUDNN_STATUS_EXECUTION_FAILED

inline float get(const void* at, size_t i, cudnnDataType_t type) {
  using stopgrad::bf16;
  return type == CUDNN_DATA_BFLOAT16 ? static_cast<float>(static_cast<const bf16*>(at)[i])
                                     : static_cast<const float*>(at)[i];
}
inline void put(void* at, size_t i, cudnnDataType_t type, float value, float beta = 0) {
  using stopgrad::bf16;
  if (beta != 0) value += beta * get(at, i, type);
  if (type == CUDNN_DATA_BFLOAT16) static_cast<bf16*>(at)[i] = bf16(value);
  else static_cast<float*>(at)[i] = value;
}

template <class T>
cudnnStatus_t make(T** out) {
  COUNTED("cudnnCreateDescriptor");
  *out = new T{};
  return CUDNN_STATUS_SUCCESS;
}
template <class T>
cudnnStatus_t destroy(T* at) {
  COUNTED("cudnnDestroyDescriptor");
  delete at;
  return CUDNN_STATUS_SUCCESS;
}

/// A convolution that an engine runs: `reverse` sums begin at the end, tensor cores read floats as TF32.
struct Convolution {
  int n, h, w, c, k, r, padding, stride, oh, ow;
  cudnnDataType_t type;
  float beta;
  bool reverse, tensor_cores;

  void forward(const void* x, const void* w, void* y) const;
  void backward_data(void* dx, const void* w, const void* dy) const;
  void backward_filter(const void* x, void* dw, const void* dy) const;

 private:
  float read(const void* at, size_t i) const;
  bool inside(int row, int column) const { return row >= 0 && row < h && column >= 0 && column < w; }
  size_t x_at(int i, int row, int column, int channel) const;
  size_t y_at(int i, int row, int column, int channel) const;
  size_t w_at(int out, int row, int column, int channel) const;
};

template <class F>
void* address(F f) {
  return reinterpret_cast<void*>(f);
}

}  // namespace emulator
