#pragma once
// Maps over flat arrays. Every pointer is to [count].
#include <cstdint>

#include "kernels/context.h"
#include "kernels/dtype.h"

namespace stopgrad {

/// y = a + b
template <class T>
struct Add {
  int64_t count;
  const T *a, *b;
  T* y;
};

/// y = scale * x (+ y when accumulate). Also the copy and the sum of gradients.
template <class T>
struct Scale {
  int64_t count;
  Acc<T> scale;
  const T* x;
  T* y;
  bool accumulate;
};

/// y = max(x, 0); NaN stays NaN.
template <class T>
struct ReluForward {
  int64_t count;
  const T* x;
  T* y;
};

/// dx = dy where y > 0, else 0 (+ dx when accumulate)
template <class T>
struct ReluBackward {
  int64_t count;
  const T *dy, *y;
  T* dx;
  bool accumulate;
};

/// y = x in another type, rounded to nearest even.
template <class From, class To>
struct Cast {
  int64_t count;
  const From* x;
  To* y;
};

/// y = value everywhere.
template <class T>
struct Fill {
  int64_t count;
  T value;
  T* y;
};

namespace cpu {
template <class T>
void run(const Add<T>&, Context&);
template <class T>
void run(const Scale<T>&, Context&);
template <class T>
void run(const ReluForward<T>&, Context&);
template <class T>
void run(const ReluBackward<T>&, Context&);
template <class From, class To>
void run(const Cast<From, To>&, Context&);
template <class T>
void run(const Fill<T>&, Context&);
}  // namespace cpu
namespace cuda {
template <class T>
void run(const Add<T>&, Context&);
template <class T>
void run(const Scale<T>&, Context&);
template <class T>
void run(const ReluForward<T>&, Context&);
template <class T>
void run(const ReluBackward<T>&, Context&);
template <class From, class To>
void run(const Cast<From, To>&, Context&);
template <class T>
void run(const Fill<T>&, Context&);
}  // namespace cuda

}  // namespace stopgrad
