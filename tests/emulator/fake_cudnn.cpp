// cuDNN's convolution by plain loops: NHWC, float or bf16, sums in float.
#include "tests/emulator/fake_cudnn.h"

#include <algorithm>
#include <cstring>

struct cudnnFilterStruct {
  cudnnDataType_t type;
  int k, c, r, s;
};
struct cudnnConvolutionStruct {
  int padding, stride;
  cudnnMathType_t math;
};

namespace {

using namespace emulator;

bool runs(int algorithm) {
  if (algorithm < 3) emulator::spend_time_of(algorithm);
  return algorithm < 3;
}
/// Whether sums begin at the end: never in 1, always in 2, every other time in 0.
bool from_the_end(int algorithm) {
  static bool turn = false;
  turn = !turn;
  return algorithm == 2 || (algorithm == 0 && turn);
}

/// Calls f(x element, w element, y element) for every product of the convolution, grouped by `outer`:
/// begin(i) starts output element i of the outer tensor and end(i) writes it.
struct Sizes {
  int n, h, w, c, k, r, padding, stride, oh, ow;
  Sizes(cudnnTensorDescriptor_t x, cudnnFilterDescriptor_t f, cudnnConvolutionDescriptor_t conv,
        cudnnTensorDescriptor_t y)
      : n(x->n),
        h(x->h),
        w(x->w),
        c(x->c),
        k(f->k),
        r(f->r),
        padding(conv->padding),
        stride(conv->stride),
        oh(y->h),
        ow(y->w) {}
  size_t x_at(int i, int row, int column, int channel) const {
    return ((size_t(i) * size_t(h) + size_t(row)) * size_t(w) + size_t(column)) * size_t(c) + size_t(channel);
  }
  size_t y_at(int i, int row, int column, int channel) const {
    return ((size_t(i) * size_t(oh) + size_t(row)) * size_t(ow) + size_t(column)) * size_t(k) +
           size_t(channel);
  }
  size_t w_at(int out, int row, int column, int channel) const {
    return ((size_t(out) * size_t(r) + size_t(row)) * size_t(r) + size_t(column)) * size_t(c) +
           size_t(channel);
  }
  bool inside(int row, int column) const { return row >= 0 && row < h && column >= 0 && column < w; }
};

cudnnStatus_t forward(cudnnHandle_t handle, const void*, cudnnTensorDescriptor_t x_desc, const void* x,
                      cudnnFilterDescriptor_t w_desc, const void* w, cudnnConvolutionDescriptor_t conv,
                      cudnnConvolutionFwdAlgo_t algorithm, void*, size_t, const void* beta,
                      cudnnTensorDescriptor_t y_desc, void* y) {
  COUNTED("cudnnConvolutionForward");
  if (!runs(algorithm)) return CUDNN_STATUS_NOT_SUPPORTED;
  const bool reverse = from_the_end(algorithm);
  const Sizes s(x_desc, w_desc, conv, y_desc);
  const float scale = *static_cast<const float*>(beta);
  const cudnnDataType_t type = x_desc->type;
  emulator::enqueue(handle->stream, [=] {
    const emulator::DeviceScope scope("cudnnConvolutionForward");
    for (int i = 0; i < s.n; ++i)
      for (int oy = 0; oy < s.oh; ++oy)
        for (int ox = 0; ox < s.ow; ++ox)
          for (int k = 0; k < s.k; ++k) {
            float sum = 0;
            for (int r = 0; r < s.r; ++r)
              for (int q = 0; q < s.r; ++q) {
                const int iy = oy * s.stride + r - s.padding, ix = ox * s.stride + q - s.padding;
                if (!s.inside(iy, ix)) continue;
                for (int step = 0; step < s.c; ++step) {
                  const int c = reverse ? s.c - 1 - step : step;
                  sum += get(x, s.x_at(i, iy, ix, c), type) * get(w, s.w_at(k, r, q, c), type);
                }
              }
            put(y, s.y_at(i, oy, ox, k), type, sum, scale);
          }
  });
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t backward_data(cudnnHandle_t handle, const void*, cudnnFilterDescriptor_t w_desc, const void* w,
                            cudnnTensorDescriptor_t y_desc, const void* dy, cudnnConvolutionDescriptor_t conv,
                            cudnnConvolutionBwdDataAlgo_t algorithm, void*, size_t, const void* beta,
                            cudnnTensorDescriptor_t x_desc, void* dx) {
  COUNTED("cudnnConvolutionBackwardData");
  if (!runs(algorithm)) return CUDNN_STATUS_NOT_SUPPORTED;
  const bool reverse = from_the_end(algorithm);
  const Sizes s(x_desc, w_desc, conv, y_desc);
  const float scale = *static_cast<const float*>(beta);
  const cudnnDataType_t type = x_desc->type;
  emulator::enqueue(handle->stream, [=] {
    const emulator::DeviceScope scope("cudnnConvolutionBackwardData");
    for (int i = 0; i < s.n; ++i)
      for (int iy = 0; iy < s.h; ++iy)
        for (int ix = 0; ix < s.w; ++ix)
          for (int c = 0; c < s.c; ++c) {
            float sum = 0;
            for (int r = 0; r < s.r; ++r)
              for (int q = 0; q < s.r; ++q) {
                const int top = iy + s.padding - r, left = ix + s.padding - q;
                if (top < 0 || left < 0 || top % s.stride || left % s.stride) continue;
                const int oy = top / s.stride, ox = left / s.stride;
                if (oy >= s.oh || ox >= s.ow) continue;
                for (int step = 0; step < s.k; ++step) {
                  const int k = reverse ? s.k - 1 - step : step;
                  sum += get(dy, s.y_at(i, oy, ox, k), type) * get(w, s.w_at(k, r, q, c), type);
                }
              }
            put(dx, s.x_at(i, iy, ix, c), type, sum, scale);
          }
  });
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t backward_filter(cudnnHandle_t handle, const void*, cudnnTensorDescriptor_t x_desc,
                              const void* x, cudnnTensorDescriptor_t y_desc, const void* dy,
                              cudnnConvolutionDescriptor_t conv, cudnnConvolutionBwdFilterAlgo_t algorithm,
                              void*, size_t, const void* beta, cudnnFilterDescriptor_t w_desc, void* dw) {
  COUNTED("cudnnConvolutionBackwardFilter");
  if (!runs(algorithm)) return CUDNN_STATUS_NOT_SUPPORTED;
  const bool reverse = from_the_end(algorithm);
  const Sizes s(x_desc, w_desc, conv, y_desc);
  const float scale = *static_cast<const float*>(beta);
  const cudnnDataType_t type = x_desc->type;
  emulator::enqueue(handle->stream, [=] {
    const emulator::DeviceScope scope("cudnnConvolutionBackwardFilter");
    for (int k = 0; k < s.k; ++k)
      for (int r = 0; r < s.r; ++r)
        for (int q = 0; q < s.r; ++q)
          for (int c = 0; c < s.c; ++c) {
            float sum = 0;
            for (int step = 0; step < s.n; ++step)
              for (int oy = 0; oy < s.oh; ++oy)
                for (int ox = 0; ox < s.ow; ++ox) {
                  const int i = reverse ? s.n - 1 - step : step;
                  const int iy = oy * s.stride + r - s.padding, ix = ox * s.stride + q - s.padding;
                  if (s.inside(iy, ix))
                    sum += get(x, s.x_at(i, iy, ix, c), type) * get(dy, s.y_at(i, oy, ox, k), type);
                }
            put(dw, s.w_at(k, r, q, c), type, sum, scale);
          }
  });
  return CUDNN_STATUS_SUCCESS;
}

/// All algorithms, 0 first: nobody may take that.
template <class Performance>
cudnnStatus_t list(cudnnConvolutionDescriptor_t conv, int wanted, int* got, Performance* found) {
  COUNTED("cudnnGetConvolutionAlgorithm_v7");
  *got = std::min(wanted, emulator::kAlgorithms);
  for (int i = 0; i < *got; ++i) {
    found[i] = {};
    found[i].algo = static_cast<decltype(found[i].algo)>(i);
    found[i].determinism = i == 0 ? CUDNN_NON_DETERMINISTIC : CUDNN_DETERMINISTIC;
    found[i].memory = size_t{1000} * size_t(i);
    found[i].mathType = conv->math;
  }
  return CUDNN_STATUS_SUCCESS;
}

}  // namespace

void* emulator::find_cudnn(const char* name) {
  const auto is = [&](const char* other) { return std::strcmp(name, other) == 0; };
  if (is("cudnnGetErrorString"))
    return address(+[](cudnnStatus_t) { return "CUDNN_STATUS_EXECUTION_FAILED"; });
  if (is("cudnnGetVersion")) return address(+[]() -> size_t { return CUDNN_VERSION; });
  if (is("cudnnCreate")) return address(make<cudnnContext>);
  if (is("cudnnDestroy")) return address(destroy<cudnnContext>);
  if (is("cudnnSetStream"))
    return address(+[](cudnnHandle_t handle, cudaStream_t stream) {
      COUNTED("cudnnSetStream");
      handle->stream = stream;
      return CUDNN_STATUS_SUCCESS;
    });
  if (is("cudnnCreateTensorDescriptor")) return address(make<cudnnTensorStruct>);
  if (is("cudnnDestroyTensorDescriptor")) return address(destroy<cudnnTensorStruct>);
  if (is("cudnnCreateFilterDescriptor")) return address(make<cudnnFilterStruct>);
  if (is("cudnnDestroyFilterDescriptor")) return address(destroy<cudnnFilterStruct>);
  if (is("cudnnCreateConvolutionDescriptor")) return address(make<cudnnConvolutionStruct>);
  if (is("cudnnDestroyConvolutionDescriptor")) return address(destroy<cudnnConvolutionStruct>);
  if (is("cudnnSetTensor4dDescriptor"))
    return address(+[](cudnnTensorDescriptor_t t, cudnnTensorFormat_t format, cudnnDataType_t type, int n,
                       int c, int h, int w) {
      COUNTED("cudnnSetTensor4dDescriptor");
      *t = {type, n, c, h, w};
      return format == CUDNN_TENSOR_NHWC ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_NOT_SUPPORTED;
    });
  if (is("cudnnSetFilter4dDescriptor"))
    return address(+[](cudnnFilterDescriptor_t f, cudnnDataType_t type, cudnnTensorFormat_t format, int k,
                       int c, int r, int s) {
      COUNTED("cudnnSetFilter4dDescriptor");
      *f = {type, k, c, r, s};
      return format == CUDNN_TENSOR_NHWC && r == s ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_NOT_SUPPORTED;
    });
  if (is("cudnnSetConvolution2dDescriptor"))
    return address(+[](cudnnConvolutionDescriptor_t c, int pad_h, int, int stride_h, int, int, int,
                       cudnnConvolutionMode_t mode, cudnnDataType_t) {
      COUNTED("cudnnSetConvolution2dDescriptor");
      *c = {pad_h, stride_h, CUDNN_DEFAULT_MATH};
      return mode == CUDNN_CROSS_CORRELATION ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_NOT_SUPPORTED;
    });
  if (is("cudnnSetConvolutionMathType"))
    return address(+[](cudnnConvolutionDescriptor_t c, cudnnMathType_t math) {
      COUNTED("cudnnSetConvolutionMathType");
      c->math = math;
      return CUDNN_STATUS_SUCCESS;
    });
  if (is("cudnnGetConvolutionForwardAlgorithm_v7"))
    return address(+[](cudnnHandle_t, cudnnTensorDescriptor_t, cudnnFilterDescriptor_t,
                       cudnnConvolutionDescriptor_t conv, cudnnTensorDescriptor_t, int wanted, int* got,
                       cudnnConvolutionFwdAlgoPerf_t* found) { return list(conv, wanted, got, found); });
  if (is("cudnnGetConvolutionBackwardDataAlgorithm_v7"))
    return address(+[](cudnnHandle_t, cudnnFilterDescriptor_t, cudnnTensorDescriptor_t,
                       cudnnConvolutionDescriptor_t conv, cudnnTensorDescriptor_t, int wanted, int* got,
                       cudnnConvolutionBwdDataAlgoPerf_t* found) { return list(conv, wanted, got, found); });
  if (is("cudnnGetConvolutionBackwardFilterAlgorithm_v7"))
    return address(
        +[](cudnnHandle_t, cudnnTensorDescriptor_t, cudnnTensorDescriptor_t,
            cudnnConvolutionDescriptor_t conv, cudnnFilterDescriptor_t, int wanted, int* got,
            cudnnConvolutionBwdFilterAlgoPerf_t* found) { return list(conv, wanted, got, found); });
  if (is("cudnnConvolutionForward")) return address(forward);
  if (is("cudnnConvolutionBackwardData")) return address(backward_data);
  if (is("cudnnConvolutionBackwardFilter")) return address(backward_filter);
  return find_cudnn_batch_norm(name);
}
