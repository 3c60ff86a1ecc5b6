#pragma once
// What a node must do at the least: arithmetic of its formula, every input read once, every output written
// once.
#include <vector>

#include "engine/tape.h"

namespace stopgrad::bench {

struct Work {
  double flop = 0, bytes = 0;
};

struct NodeWork {
  Work forward;
  std::vector<Work> backward;  // one per call: two for convolution and linear, none behind a wall
};

NodeWork work_of(const std::vector<TapeEntry>& entries, int index);

/// What the machine does at best: measured in the same run.
struct Ceilings {
  double flop_per_second = 0, bytes_per_second = 0;

  /// Seconds below which nobody gets.
  double floor(const Work& work) const;
  double floor(const std::vector<Work>& calls) const;
};

/// A matrix product of `activations` and a copy, the best of several.
Ceilings measure_ceilings(Pool pool, DType activations);

}  // namespace stopgrad::bench
