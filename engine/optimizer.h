#pragma once
// Stochastic gradient descent over a parameter slab, and learning rate schedules.
#include "engine/module.h"
#include "engine/staging.h"

namespace stopgrad {

/// SGD with momentum, in the order of operations of PyTorch's (kernels/sgd.h has the formula). Weight decay
/// applies to every trainable parameter, batch norm's scales and shifts included, as in the paper.
class Sgd {
 public:
  Sgd(ParameterSlab& slab, double momentum, double decay);

  /// The learning rates of all updates from now on: `fixed_rate` for parameters that are marked fixed_rate,
  /// `rate` for all others.
  void set_rates(double rate, double fixed_rate);
  /// One update, by the rates in the device's memory.
  void update();
  void step(double rate, double fixed_rate) {
    set_rates(rate, fixed_rate);
    update();
  }

 private:
  ParameterSlab& slab_;
  double momentum_, decay_;
  StepValues rates_;  // [2]: rate, fixed_rate
};

/// rate(step) = base * 0.5 (1 + cos(pi step / total)) after a linear warm-up.
struct CosineSchedule {
  double base = 0.05;
  int64_t total = 1;   // steps
  int64_t warmup = 0;  // steps over which the rate climbs from warmup_start to base
  double warmup_start = 0;
  int64_t hold = 1;  // steps for which the cosine stands still: those of an epoch, where it moves by epochs
  double at(int64_t step) const;
};

/// Linear scaling: base * batch / 256 (Goyal et al. 2017; the paper's section 3, "Baseline settings").
inline double scaled_rate(double base, int64_t batch) { return base * static_cast<double>(batch) / 256; }

}  // namespace stopgrad
