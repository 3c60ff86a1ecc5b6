#pragma once
// Matrices into wider or narrower ones: weights get channels of zeros that tensor cores want, and lose them
// again.
#include <cstdint>

#include "kernels/context.h"
#include "kernels/dtype.h"

namespace stopgrad {

/// y[r, c] = x[r, c], 0 where x has no column c (+ y when accumulate). Columns of x past y's are dropped.
template <class T>
struct CopyColumns {
  int64_t rows;
  int from, to;  // columns of x and of y
  const T* x;    // [rows, from]
  T* y;          // [rows, to]
  bool accumulate;
};

namespace cpu {
template <class T>
void run(const CopyColumns<T>&, Context&);
}  // namespace cpu
namespace cuda {
template <class T>
void run(const CopyColumns<T>&, Context&);
}  // namespace cuda

}  // namespace stopgrad
