#pragma once
// A labelled set that needs no files: ten shapes of random place, size, turn and colours on a noisy
// background. What one wants to know, the shape, is what crops, flips and colour changes keep; pixels alone
// say little.
#include "data/dataset.h"

namespace stopgrad {

/// `count` images [size, size, channels], channels 1 or 3, size from 8 to 1024; label i % 10. Image i is a
/// pure function of (seed, split, i, size, channels), bit for bit the same everywhere. Other arguments throw
/// Error(Exit::config).
Dataset make_synthetic(int64_t count, int size, int channels, uint64_t seed, Split split);

}  // namespace stopgrad
