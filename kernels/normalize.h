#pragma once
// Rows scaled to unit length: u = x / max(|x|, 1e-12).
#include "kernels/context.h"
#include "kernels/dtype.h"

namespace stopgrad {

/// Shorter rows count as this long: a row of zeros stays zero, and its gradient is finite (dy / floor).
inline constexpr double kNormFloor = 1e-12;

template <class T>
struct NormalizeForward {
  int rows, channels;
  const T* x;        // [rows, channels]
  T* y;              // [rows, channels]
  Acc<T>* inv_norm;  // [rows], saved for backward
};

/// dx = (dy - (dy . y) y) * inv_norm; below the floor, where y is linear in x, dx = dy * inv_norm. Out is T,
/// or Acc<T> where x is a parameter.
template <class T, class Out = T>
struct NormalizeBackward {
  int rows, channels;
  const T *dy, *y;         // [rows, channels]
  const Acc<T>* inv_norm;  // [rows]
  Out* dx;                 // [rows, channels]
  bool accumulate;
};

namespace cpu {
template <class T>
void run(const NormalizeForward<T>&, Context&);
template <class T, class Out>
void run(const NormalizeBackward<T, Out>&, Context&);
}  // namespace cpu
namespace cuda {
template <class T>
void run(const NormalizeForward<T>&, Context&);
template <class T, class Out>
void run(const NormalizeBackward<T, Out>&, Context&);
}  // namespace cuda

}  // namespace stopgrad
