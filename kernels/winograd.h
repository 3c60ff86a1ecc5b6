#pragma once
// Winograd's minimal filtering F(4x4, 3x3) for 3x3 convolutions of stride 1 in float: 4 times fewer
// multiplications, rounding errors a few times larger than those of direct sums, and whole numbers not exact.
#include "kernels/conv2d.h"

namespace stopgrad::cpu::winograd {

/// Whether a convolution of this shape is possible here and faster than directly. Depends on sizes alone.
bool suits(const ConvShape&);

// Results have the same bits with any number of threads.
void run(const ConvForward<float>&, Context&);
void run(const ConvBackwardInput<float>&, Context&);
void run(const ConvBackwardWeight<float>&, Context&);

}  // namespace stopgrad::cpu::winograd
