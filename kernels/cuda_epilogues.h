#pragma once
// What the libraries leave to do after a product in bf16: they write gradients in the type of their inputs
// and add no bias of floats to bf16.
#include <cstdint>

#include "kernels/cuda_context.h"
#include "kernels/dtype.h"

namespace stopgrad::cuda {

/// to = from (+ to when accumulate)
void widen(const bf16* from, float* to, int64_t count, bool accumulate, Context& context);

/// to[r, c] = from[r, c] + bias[c] (+ to[r, c] when accumulate), rounded once; without `from`, which may be
/// null, bias[c] alone. T is bf16 or float.
template <class T>
void add_bias(const float* from, const float* bias, T* to, int rows, int columns, bool accumulate,
              Context& context);

}  // namespace stopgrad::cuda
