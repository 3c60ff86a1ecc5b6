#pragma once
// Codes of SwAV (Caron et al. 2020, arXiv 2006.09882): which share of every sample belongs to which
// prototype, when all prototypes get equally much of the batch (Sinkhorn and Knopp's balancing).
#include "kernels/context.h"
#include "kernels/dtype.h"

namespace stopgrad {

/// log q, where q starts as exp(scores / epsilon) and `iterations` times first every column (prototype) and
/// then every row (sample) is divided by its sum. Rows of q sum to 1 in the end, columns nearly to
/// rows / channels. At least one iteration. Kept as logarithms: q_ij = exp(s_ij / epsilon + u_j + v_i), of
/// which u and v are computed, so that nothing overflows and no iteration writes a matrix. Published code
/// also divides by the number of rows and prototypes and by the sum of all, which the next division takes out
/// again.
template <class T>
struct Sinkhorn {
  int rows, channels, iterations;
  T epsilon;
  const T* scores;  // [rows, channels]
  T* log_q;         // [rows, channels]
};

namespace cpu {
template <class T>
void run(const Sinkhorn<T>&, Context&);
}  // namespace cpu
namespace cuda {
template <class T>
void run(const Sinkhorn<T>&, Context&);
}  // namespace cuda

}  // namespace stopgrad
