#pragma once
// Losses over a softmax: cross entropy with class labels, and the cross-entropy similarity of SimSiam's
// section 4.5.
#include <cstdint>

#include "kernels/context.h"
#include "kernels/cosine_loss.h"
#include "kernels/dtype.h"

namespace stopgrad {

/// loss = mean over rows of -log softmax(logits)[label], the softmax over the classes that are not left out
template <class T>
struct CrossEntropyForward {
  int rows, classes;
  const T* logits;        // [rows, classes]
  const int32_t* labels;  // [rows], in [0, classes): others are an error; on CUDA, which cannot throw one
                          // without waiting for the device, the loss is NaN then
  Acc<T>* loss;           // one number
  Acc<T>* probability;    // [rows, classes], saved for backward; 0 where left out
  // [rows, 2], or null: classes [begin, end) within [0, classes) that a row leaves out, but for its label
  const int32_t* left_out = nullptr;
};

/// dlogits = dloss/rows * (softmax(logits) - onehot(label))
template <class T>
struct CrossEntropyBackward {
  int rows, classes;
  const int32_t* labels;      // [rows]
  const Acc<T>* probability;  // [rows, classes]
  const Acc<T>* dloss;        // one number
  T* dlogits;                 // [rows, classes]
  bool accumulate;
};

/// loss = 1/(pairs * rows) * sum of -softmax(z) . log softmax(p)
template <class T>
struct SoftmaxSimilarityForward {
  int pairs, rows, channels;
  const T* p[kMaxPairs];  // [rows, channels] each
  const T* z[kMaxPairs];  // [rows, channels] each
  Acc<T>* loss;           // one number
  Acc<T>* saved;          // [pairs, rows, 3]: log-sum-exp of p, of z, and sum of softmax(z) * log softmax(p)
};

/// dp = c (softmax(p) - softmax(z)); dz = -c softmax(z) (log softmax(p) - saved sum), c = dloss/(pairs *
/// rows). Null sides are not computed; order of writing as in the cosine loss.
template <class T>
struct SoftmaxSimilarityBackward {
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
void run(const CrossEntropyForward<T>&, Context&);
template <class T>
void run(const CrossEntropyBackward<T>&, Context&);
template <class T>
void run(const SoftmaxSimilarityForward<T>&, Context&);
template <class T>
void run(const SoftmaxSimilarityBackward<T>&, Context&);
}  // namespace cpu
namespace cuda {
template <class T>
void run(const CrossEntropyForward<T>&, Context&);
template <class T>
void run(const CrossEntropyBackward<T>&, Context&);
template <class T>
void run(const SoftmaxSimilarityForward<T>&, Context&);
template <class T>
void run(const SoftmaxSimilarityBackward<T>&, Context&);
}  // namespace cuda

}  // namespace stopgrad
