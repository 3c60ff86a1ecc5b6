#pragma once
// Layer-wise adaptive rates (You et al. 2017, arXiv 1708.03888): SGD whose step on a weight has a length that
// goes with the weight's own.
#include <cstdint>

#include "kernels/context.h"
#include "kernels/dtype.h"

namespace stopgrad {

/// Elements [begin, begin + count) of the slabs, all of one parameter; both are multiples of 64, padding is
/// zero. The chunks of a parameter follow one another.
struct LarsChunk {
  static constexpr int kMost = 8192;  // elements: their number sets how sums are cut, on every device
  int64_t begin;
  int32_t count;
  int32_t before, parts;  // chunks of the parameter: those before this one, and all
  int32_t adapted;        // 0: batch norm's and biases, without decay and with a ratio of 1
};

/// g += decay * w; ratio = trust * |w| / |g|, 1 where a norm is 0; m = momentum * m + rate * ratio * g;
/// w -= m. The order of TensorFlow's, which trained SimCLR: the rate is in the buffer. T is the type of the
/// activations.
template <class T>
struct LarsStep {
  int chunks;
  const LarsChunk* chunk;  // [chunks], of whole parameters, in the device's memory
  const Acc<T>* rate;      // one number, in the device's memory: a captured step reads the rate of its time
  Acc<T> momentum, decay, trust;
  const Acc<T>* gradient;  // the slabs, from which chunks count
  Acc<T>* momentum_buffer;
  Acc<T>* value;
  T* compute;  // value in T, written too; null when T is Acc<T>
};

namespace cpu {
template <class T>
void run(const LarsStep<T>&, Context&);
}  // namespace cpu
namespace cuda {
template <class T>
void run(const LarsStep<T>&, Context&);
}  // namespace cuda

}  // namespace stopgrad
