#pragma once
// Max pooling and global average pooling, NHWC.
#include <cstdint>

#include "kernels/check.h"
#include "kernels/context.h"
#include "kernels/dtype.h"

namespace stopgrad {

/// y[n,i,j,c] = max over the window; ties go to the first in row order, as does the gradient.
template <class T>
struct MaxPoolForward {
  int images, height, width, channels, kernel, stride, padding;
  const T* x;       // [images, height, width, channels]
  T* y;             // [images, out_height, out_width, channels]
  uint8_t* winner;  // as y: position r * kernel + s in the window, for backward
  int out_height() const { return (height + 2 * padding - kernel) / stride + 1; }
  int out_width() const { return (width + 2 * padding - kernel) / stride + 1; }
};

template <class T>
struct MaxPoolBackward {
  int images, height, width, channels, kernel, stride, padding;
  const T* dy;            // [images, out_height, out_width, channels]
  const uint8_t* winner;  // as dy
  T* dx;  // [images, height, width, channels], gathered per input pixel, so no two threads write one place
  bool accumulate;
  int out_height() const { return (height + 2 * padding - kernel) / stride + 1; }
  int out_width() const { return (width + 2 * padding - kernel) / stride + 1; }
};

/// y[n,c] = mean over the pixels of x[n,:,:,c]
template <class T>
struct AveragePoolForward {
  int images, pixels, channels;
  const T* x;  // [images, pixels, channels]
  T* y;        // [images, channels]
};

template <class T>
struct AveragePoolBackward {
  int images, pixels, channels;
  const T* dy;  // [images, channels]
  T* dx;        // [images, pixels, channels]
  bool accumulate;
};

/// A window whose places a byte can name and none of which lies outside of the image as a whole.
template <class Call>
void check_window(const Call& call) {
  ENSURE(call.kernel > 0 && call.kernel <= 16 && call.stride > 0 && call.padding >= 0 &&
             call.padding < call.kernel,
         "max pool: kernel {}, stride {}, padding {}; want a kernel of 1 to 16 and less padding than that",
         call.kernel, call.stride, call.padding);
}

namespace cpu {
template <class T>
void run(const MaxPoolForward<T>&, Context&);
template <class T>
void run(const MaxPoolBackward<T>&, Context&);
template <class T>
void run(const AveragePoolForward<T>&, Context&);
template <class T>
void run(const AveragePoolBackward<T>&, Context&);
}  // namespace cpu
namespace cuda {
template <class T>
void run(const MaxPoolForward<T>&, Context&);
template <class T>
void run(const MaxPoolBackward<T>&, Context&);
template <class T>
void run(const AveragePoolForward<T>&, Context&);
template <class T>
void run(const AveragePoolBackward<T>&, Context&);
}  // namespace cuda

}  // namespace stopgrad
