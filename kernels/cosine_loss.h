#pragma once
// Negative cosine similarity, the loss of SimSiam (section 3, eq. 1 and 2):
//   loss = - 1/(pairs * rows) * sum over pairs and rows of p^ . z^,   u^ = u / max(|u|, 1e-12)
// One pair is the asymmetric loss, two are the symmetric one: both directions are one call.
#include "kernels/context.h"
#include "kernels/dtype.h"

namespace stopgrad {

/// Pairs of one call: four views, each predicting the three others.
inline constexpr int kMaxPairs = 12;

template <class T>
struct CosineLossForward {
  int pairs, rows, channels;
  const T* p[kMaxPairs];  // [rows, channels] each
  const T* z[kMaxPairs];  // [rows, channels] each
  Acc<T>* loss;           // one number
  Acc<T>* saved;          // [pairs, rows, 3]: 1/|p|, 1/|z|, cosine; for backward
};

/// dp = -dloss/(pairs * rows * |p|) * (z^ - cosine * p^), and dz alike. The side behind a wall is null: not
/// computed at all. A row of zeros adds 0 to the loss and gets a finite gradient: below the floor of 1e-12,
/// p^ is linear in p and the term with the cosine falls away. Gradients may share memory (one tensor on both
/// sides, accumulating): they are written in the order dp[0], dz[0], dp[1], dz[1], ...
template <class T>
struct CosineLossBackward {
  int pairs, rows, channels;
  const T* p[kMaxPairs];  // [rows, channels] each
  const T* z[kMaxPairs];  // [rows, channels] each
  const Acc<T>* saved;    // [pairs, rows, 3], of forward
  const Acc<T>* dloss;    // one number
  T* dp[kMaxPairs];       // [rows, channels] each, or null
  T* dz[kMaxPairs];       // [rows, channels] each, or null
  bool accumulate_dp[kMaxPairs], accumulate_dz[kMaxPairs];
};

namespace cpu {
template <class T>
void run(const CosineLossForward<T>&, Context&);
template <class T>
void run(const CosineLossBackward<T>&, Context&);
}  // namespace cpu
namespace cuda {
template <class T>
void run(const CosineLossForward<T>&, Context&);
template <class T>
void run(const CosineLossBackward<T>&, Context&);
}  // namespace cuda

}  // namespace stopgrad
