#pragma once
// Stochastic gradient descent over a parameter slab, and learning rate schedules.
#include "engine/module.h"
#include "engine/staging.h"

namespace stopgrad {

/// PyTorch's order (see kernels/sgd.h). Decay applies to every trainable parameter, batch norm's included, as
/// in the paper (section 4).
class Sgd {
 public:
  Sgd(ParameterSlab& slab, double momentum, double decay);

  /// Of the updates from now on: `rate` for most parameters, `fixed_rate` for those marked fixed_rate.
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

/// Linear scaling: base * batch / 256 (Goyal et al. 2017, as in the paper's section 4).
inline double scaled_rate(double base, int64_t batch) { return base * static_cast<double>(batch) / 256; }

}  // namespace stopgrad
