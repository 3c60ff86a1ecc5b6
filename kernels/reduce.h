#pragma once
// Reductions whose order depends on sizes only: the same bits with any number of threads.
#include <cstdint>

#include "kernels/context.h"
#include "kernels/dtype.h"

namespace stopgrad {

/// In double: sum = sum of x; squares = sum of x^2; not_finite = how many are NaN or infinite. Null outputs
/// are skipped.
template <class T>
struct Summary {
  int64_t count;
  const T* x;           // [count]
  double* sum;          // one number
  double* squares;      // one number
  int64_t* not_finite;  // one number
};

/// sum[c] = sum over rows of x[r, c] (+ sum[c] when accumulate): the gradient of a bias.
template <class T>
struct ColumnSum {
  int rows, channels;
  const T* x;   // [rows, channels]
  Acc<T>* sum;  // [channels]
  bool accumulate;
};

/// Column means and population standard deviations of the rows scaled to unit length: the collapse meter
/// (SimSiam section 4.1). sqrt(channels) * mean(std) is 1 when healthy, 0 when collapsed.
template <class T>
struct UnitRowStatistics {
  int rows, channels;
  const T* x;    // [rows, channels]
  double* mean;  // [channels]
  double* std;   // [channels]
};

namespace cpu {
template <class T>
void run(const Summary<T>&, Context&);
template <class T>
void run(const ColumnSum<T>&, Context&);
template <class T>
void run(const UnitRowStatistics<T>&, Context&);
}  // namespace cpu
namespace cuda {
template <class T>
void run(const Summary<T>&, Context&);
template <class T>
void run(const ColumnSum<T>&, Context&);
template <class T>
void run(const UnitRowStatistics<T>&, Context&);
}  // namespace cuda

}  // namespace stopgrad
