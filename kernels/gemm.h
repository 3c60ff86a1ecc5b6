#pragma once
// Matrix product. A linear layer stores its weight [in, out], so that its forward is a plain product.
#include "kernels/context.h"
#include "kernels/dtype.h"

namespace stopgrad {

/// c = op(a) op(b) (+ bias per column) (+ c when accumulate). Row-major, packed.
template <class T, class Out = T>
struct Gemm {
  int m, n, k;
  bool transpose_a, transpose_b;
  const T* a;  // [m, k], or [k, m] when transpose_a
  const T* b;  // [k, n], or [n, k] when transpose_b
  Out* c;      // [m, n]; Out is T, or Acc<T> for weight gradients and similarities
  bool accumulate;
  const Acc<T>* bias;  // [n], or null
};

namespace cpu {
template <class T, class Out>
void run(const Gemm<T, Out>&, Context&);
}  // namespace cpu
namespace cuda {
template <class T, class Out>
void run(const Gemm<T, Out>&, Context&);
}  // namespace cuda

}  // namespace stopgrad
