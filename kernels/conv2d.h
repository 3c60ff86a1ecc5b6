#pragma once
// 2-D convolution (cross-correlation), NHWC. Conv and gemm go to a library where there is one.
#include "kernels/context.h"
#include "kernels/dtype.h"

namespace stopgrad {

/// Sizes of one convolution. Weights are stored [out_channels, kernel, kernel, channels].
struct ConvShape {
  int images, height, width, channels;
  int out_channels, kernel, stride, padding;

  int out_height() const { return (height + 2 * padding - kernel) / stride + 1; }
  int out_width() const { return (width + 2 * padding - kernel) / stride + 1; }
  bool operator==(const ConvShape&) const = default;
};

/// y[n,i,j,o] = sum over r,s,c of x[n, i*stride+r-padding, j*stride+s-padding, c] * w[o,r,s,c]
template <class T>
struct ConvForward {
  ConvShape shape;
  const T* x;  // [images, height, width, channels]
  const T* w;  // [out_channels, kernel, kernel, channels]
  T* y;        // [images, out_height, out_width, out_channels]
};

/// Gradient with respect to x.
template <class T>
struct ConvBackwardInput {
  ConvShape shape;
  const T* dy;  // [images, out_height, out_width, out_channels]
  const T* w;   // [out_channels, kernel, kernel, channels]
  T* dx;        // [images, height, width, channels]
  bool accumulate;
};

/// Gradient with respect to w, in the type of sums.
template <class T>
struct ConvBackwardWeight {
  ConvShape shape;
  const T* x;   // [images, height, width, channels]
  const T* dy;  // [images, out_height, out_width, out_channels]
  Acc<T>* dw;   // [out_channels, kernel, kernel, channels]
  bool accumulate;
};

namespace cpu {
template <class T>
void run(const ConvForward<T>&, Context&);
template <class T>
void run(const ConvBackwardInput<T>&, Context&);
template <class T>
void run(const ConvBackwardWeight<T>&, Context&);
}  // namespace cpu
namespace cuda {
template <class T>
void run(const ConvForward<T>&, Context&);
template <class T>
void run(const ConvBackwardInput<T>&, Context&);
template <class T>
void run(const ConvBackwardWeight<T>&, Context&);
}  // namespace cuda

}  // namespace stopgrad
