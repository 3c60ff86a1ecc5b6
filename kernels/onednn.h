#pragma once
// Convolutions and matrix products by oneDNN. Each run() returns false when the library is not built in or
// has no fast kernel for the call on this processor; then it has done nothing, and the caller takes the plain
// loops.
#include "kernels/conv2d.h"
#include "kernels/gemm.h"

namespace stopgrad::cpu::onednn {

// T is float or bf16.
template <class T>
bool run(const ConvForward<T>&, Context&);
template <class T>
bool run(const ConvBackwardInput<T>&, Context&);
template <class T>
bool run(const ConvBackwardWeight<T>&, Context&);

// <float, float>, <bf16, bf16> or <bf16, float>.
template <class T, class Out>
bool run(const Gemm<T, Out>&, Context&);

}  // namespace stopgrad::cpu::onednn
