#pragma once
// What the machine can do, measured in the same run: the rate of a large copy and of a large matrix product.
#include "bench/kernels/clock.h"

namespace stopgrad::bench {

struct Ceilings {
  double copy;                     // bytes read and written per second
  double matmul_f32, matmul_bf16;  // operations per second; bf16 0 where it is not fast
};
/// The best of several samples: a ceiling is what was reached once.
Ceilings measure_ceilings(const Device& device);

}  // namespace stopgrad::bench
