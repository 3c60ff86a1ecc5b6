#pragma once
// What the machine can do, measured in the same run: the rate of a large copy and of a large matrix product.
#include "bench/kernels/clock.h"

namespace stopgrad::bench {

struct Ceilings {
  double copy;                     // bytes read and written per second
  double matmul_f32, matmul_bf16;  // operations per second; bf16 0 where it is not fast

  /// What bounds a product: where bf16 is not fast it is computed in float32.
  double matmul(bool bf16) const { return bf16 && matmul_bf16 > 0 ? matmul_bf16 : matmul_f32; }
};
/// The higher of each: a ceiling is what was reached once.
Ceilings best_of(const Ceilings& a, const Ceilings& b);
/// The best of several samples.
Ceilings measure_ceilings(const Device& device);

}  // namespace stopgrad::bench
