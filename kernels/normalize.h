#pragma once
// Rows scaled to unit length: u = x / max(|x|, 1e-12).
#include "kernels/context.h"
#include "kernels/dtype.h"

namespace stopgrad {

template <class T>
struct NormalizeForward {
  int rows, channels;
  const T* x;        // [rows, channels]
  T* y;              // [rows, channels]
  Acc<T>* inv_norm;  // [rows], saved for backward
};

/// dx = (dy - (dy . y) y) * inv_norm
template <class T>
struct NormalizeBackward {
  int rows, channels;
  const T *dy, *y;
  const Acc<T>* inv_norm;
  T* dx;
  bool accumulate;
};

namespace cpu {
template <class T>
void run(const NormalizeForward<T>&, Context&);
template <class T>
void run(const NormalizeBackward<T>&, Context&);
}  // namespace cpu

}  // namespace stopgrad
