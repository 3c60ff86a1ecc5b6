#pragma once
// Batch normalisation over matrices [rows, channels] (1-D and 2-D are one kernel in NHWC), with an optional
// residual and an optional ReLU inside: y = relu(gamma * (x - mean) * rstd + beta + residual).
#include "kernels/context.h"
#include "kernels/dtype.h"

namespace stopgrad {

/// Training form. `groups` splits the rows into equal parts (one per view) with statistics of their own.
/// Biased variance for normalising; running variance takes the unbiased one, group after group in order:
/// running = (1 - momentum) * running + momentum * batch. rows per group must be at least 2.
template <class T>
struct BatchNormForward {
  int groups, rows, channels;  // rows of one group
  Acc<T> eps, momentum;
  const T* x;           // [groups * rows, channels]
  const Acc<T>* gamma;  // [channels], or null: 1
  const Acc<T>* beta;   // [channels], or null: 0
  const T* residual;    // [groups * rows, channels], or null
  bool relu;
  T* y;                  // [groups * rows, channels]
  Acc<T>* mean;          // [groups, channels], saved for backward
  Acc<T>* rstd;          // [groups, channels], 1 / sqrt(var + eps)
  Acc<T>* running_mean;  // [channels], or null: not updated
  Acc<T>* running_var;   // [channels], or null
};

/// Evaluation form: the same map with the running statistics; nothing is saved.
template <class T>
struct BatchNormInference {
  int rows, channels;
  Acc<T> eps;
  const T* x;                 // [rows, channels]
  const Acc<T>*gamma, *beta;  // [channels], or null
  const T* residual;          // [rows, channels], or null
  bool relu;
  const Acc<T>*running_mean, *running_var;  // [channels]
  T* y;                                     // [rows, channels]
};

/// Gradients of the training form. With x^ = (x - mean) * rstd, and dy' the gradient behind the ReLU (with
/// one: dy where y > 0, else 0), per channel over the rows of a group:
///   dbeta = sum dy',   dgamma = sum dy' * x^,   dresidual = dy',
///   dx = gamma * rstd * (dy' - mean(dy') - x^ * mean(dy' * x^))
/// The two means are the gradient's way through the batch's mean and through its variance: a shift of all x
/// or a scaling of them changes no y (but for eps), so dx has no part along either, and sum dx = 0. The
/// ReLU's mask is recomputed from x, or, with a residual, read from y. Outputs that are null are not
/// computed.
template <class T>
struct BatchNormBackward {
  int groups, rows, channels;  // rows of one group
  const T* dy;                 // [groups * rows, channels]
  const T* x;                  // [groups * rows, channels]
  const T* y;                  // as x, the output of forward; read only when relu with a residual
  const Acc<T>*gamma, *beta;   // [channels], or null
  const Acc<T>*mean, *rstd;    // [groups, channels]
  bool relu, has_residual;
  T* dx;  // [groups * rows, channels]
  bool accumulate_dx;
  Acc<T>* dgamma;  // [channels], summed over the groups
  bool accumulate_dgamma;
  Acc<T>* dbeta;  // [channels], summed over the groups
  bool accumulate_dbeta;
  T* dresidual;  // [groups * rows, channels]
  bool accumulate_dresidual;
};

namespace cpu {
template <class T>
void run(const BatchNormForward<T>&, Context&);
template <class T>
void run(const BatchNormInference<T>&, Context&);
template <class T>
void run(const BatchNormBackward<T>&, Context&);
}  // namespace cpu
namespace cuda {
template <class T>
void run(const BatchNormForward<T>&, Context&);
template <class T>
void run(const BatchNormInference<T>&, Context&);
template <class T>
void run(const BatchNormBackward<T>&, Context&);
}  // namespace cuda

}  // namespace stopgrad
