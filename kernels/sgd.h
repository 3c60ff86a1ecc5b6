#pragma once
// Updates over parameter slabs.
#include <cstdint>

#include "kernels/context.h"
#include "kernels/dtype.h"

namespace stopgrad {

/// Stochastic gradient descent in PyTorch's order: g += decay * w; m = momentum * m + g; w -= rate * m.
/// A momentum buffer of zeros makes the first step m = g. T is the type of the activations.
template <class T>
struct SgdStep {
  int64_t count;
  const Acc<T>* rate;  // one number, in the device's memory: a captured step reads the rate of its time
  Acc<T> momentum, decay;
  const Acc<T>* gradient;   // [count]
  Acc<T>* momentum_buffer;  // [count]
  Acc<T>* value;            // [count]
  T* compute;               // [count], value in T, written too; null when T is Acc<T>
};

/// target = momentum * target + (1 - momentum) * source: target networks.
template <class T>
struct MovingAverage {
  int64_t count;
  T momentum;
  const T* source;  // [count]
  T* target;        // [count]
};

namespace cpu {
template <class T>
void run(const SgdStep<T>&, Context&);
template <class T>
void run(const MovingAverage<T>&, Context&);
}  // namespace cpu
namespace cuda {
template <class T>
void run(const SgdStep<T>&, Context&);
template <class T>
void run(const MovingAverage<T>&, Context&);
}  // namespace cuda

}  // namespace stopgrad
