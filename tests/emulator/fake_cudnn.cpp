// cuDNN's convolution by plain loops: NHWC, float or bf16, sums in float.
#include "tests/emulator/fake_cudnn.h"

#include <cstring>

namespace emulator {

float Convolution::read(const void* at, size_t i) const {
  const float value = get(at, i, type);
  if (!tensor_cores || type == CUDNN_DATA_BFLOAT16) return value;
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  bits = (bits + 0x1000) & ~0x1fffu;  // 10 bits of the mantissa stay
  float rounded;
  std::memcpy(&rounded, &bits, sizeof bits);
  return rounded;
}

size_t Convolution::x_at(int i, int row, int column, int channel) const {
  return ((size_t(i) * size_t(h) + size_t(row)) * size_t(w) + size_t(column)) * size_t(c) + size_t(channel);
}
size_t Convolution::y_at(int i, int row, int column, int channel) const {
  return ((size_t(i) * size_t(oh) + size_t(row)) * size_t(ow) + size_t(column)) * size_t(k) + size_t(channel);
}
size_t Convolution::w_at(int out, int row, int column, int channel) const {
  return ((size_t(out) * size_t(r) + size_t(row)) * size_t(r) + size_t(column)) * size_t(c) + size_t(channel);
}

void Convolution::forward(const void* x, const void* weights, void* y) const {
  for (int i = 0; i < n; ++i)
    for (int oy = 0; oy < oh; ++oy)
      for (int ox = 0; ox < ow; ++ox)
        for (int out = 0; out < k; ++out) {
          float sum = 0;
          for (int p = 0; p < r; ++p)
            for (int q = 0; q < r; ++q) {
              const int iy = oy * stride + p - padding, ix = ox * stride + q - padding;
              if (!inside(iy, ix)) continue;
              for (int step = 0; step < c; ++step) {
                const int in = reverse ? c - 1 - step : step;
                sum += read(x, x_at(i, iy, ix, in)) * read(weights, w_at(out, p, q, in));
              }
            }
          put(y, y_at(i, oy, ox, out), type, sum, beta);
        }
}

void Convolution::backward_data(void* dx, const void* weights, const void* dy) const {
  for (int i = 0; i < n; ++i)
    for (int iy = 0; iy < h; ++iy)
      for (int ix = 0; ix < w; ++ix)
        for (int in = 0; in < c; ++in) {
          float sum = 0;
          for (int p = 0; p < r; ++p)
            for (int q = 0; q < r; ++q) {
              const int top = iy + padding - p, left = ix + padding - q;
              if (top < 0 || left < 0 || top % stride || left % stride) continue;
              const int oy = top / stride, ox = left / stride;
              if (oy >= oh || ox >= ow) continue;
              for (int step = 0; step < k; ++step) {
                const int out = reverse ? k - 1 - step : step;
                sum += read(dy, y_at(i, oy, ox, out)) * read(weights, w_at(out, p, q, in));
              }
            }
          put(dx, x_at(i, iy, ix, in), type, sum, beta);
        }
}

void Convolution::backward_filter(const void* x, void* dw, const void* dy) const {
  for (int out = 0; out < k; ++out)
    for (int p = 0; p < r; ++p)
      for (int q = 0; q < r; ++q)
        for (int in = 0; in < c; ++in) {
          float sum = 0;
          for (int step = 0; step < n; ++step)
            for (int oy = 0; oy < oh; ++oy)
              for (int ox = 0; ox < ow; ++ox) {
                const int i = reverse ? n - 1 - step : step;
                const int iy = oy * stride + p - padding, ix = ox * stride + q - padding;
                if (inside(iy, ix)) sum += read(x, x_at(i, iy, ix, in)) * read(dy, y_at(i, oy, ox, out));
              }
          put(dw, w_at(out, p, q, in), type, sum, beta);
        }
}

void* find_cudnn(const char* name) {
  const auto is = [&](const char* other) { return std::strcmp(name, other) == 0; };
  if (is("cudnnGetErrorString"))
    return address(+[](cudnnStatus_t status) {
      return status == CUDNN_STATUS_BAD_PARAM ? "CUDNN_STATUS_BAD_PARAM" : "CUDNN_STATUS_EXECUTION_FAILED";
    });
  if (is("cudnnGetVersion")) return address(+[]() -> size_t { return CUDNN_VERSION; });
  if (is("cudnnCreate")) return address(make<cudnnContext>);
  if (is("cudnnDestroy")) return address(destroy<cudnnContext>);
  if (is("cudnnSetStream"))
    return address(+[](cudnnHandle_t handle, cudaStream_t stream) {
      COUNTED("cudnnSetStream");
      handle->stream = stream;
      return CUDNN_STATUS_SUCCESS;
    });
  if (void* const found = find_cudnn_backend(name)) return found;
  return find_cudnn_batch_norm(name);
}

}  // namespace emulator
