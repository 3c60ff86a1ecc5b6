#pragma once
// What a node must do at the least: arithmetic of its formula, every input read once, every output written
// once.
#include <vector>

#include "engine/tape.h"

namespace stopgrad::bench {

struct Cost {
  double flop = 0, bytes = 0;
};

struct NodeCost {
  Cost forward;
  std::vector<Cost> backward;  // one per call: two for convolution and linear, none behind a wall
};

NodeCost cost_of(const std::vector<TapeEntry>& entries, int index);

/// What the machine does at best: measured in the same run.
struct Rates {
  double flop_per_second = 0, bytes_per_second = 0;

  /// Seconds below which nobody gets.
  double floor(const Cost& cost) const;
  double floor(const std::vector<Cost>& calls) const;
};

/// A matrix product of this type (of floats where no faster one is measured) and a large copy.
Rates measure_rates(const Device& device, DType activations);

}  // namespace stopgrad::bench
