#pragma once
// Optimizers over a parameter slab, and learning rate schedules.
#include "engine/module.h"
#include "engine/staging.h"

namespace stopgrad {

/// Updates the trainable parameters of a slab by their gradients.
class Optimizer {
 public:
  explicit Optimizer(ParameterSlab& slab);
  virtual ~Optimizer() = default;

  /// The learning rates of all updates from now on: `fixed_rate` for parameters that are marked fixed_rate,
  /// `rate` for all others.
  void set_rates(double rate, double fixed_rate);
  /// One update, by the rates in the device's memory.
  void update();
  void step(double rate, double fixed_rate) {
    set_rates(rate, fixed_rate);
    update();
  }

 protected:
  virtual void update_range(const SlabRange& range) = 0;
  /// What updates a range by: its place in the device's memory.
  template <class A>
  const A* rate_of(const SlabRange& range) const {
    return rates_.data<A>() + (range.fixed_rate ? 1 : 0);
  }
  ParameterSlab& slab() { return slab_; }

 private:
  ParameterSlab& slab_;
  StepValues rates_;  // [2]: rate, fixed_rate
};

/// SGD with momentum, in the order of operations of PyTorch's (kernels/sgd.h has the formula). Weight decay
/// applies to every trainable parameter, batch norm's scales and shifts included, as in the paper.
class Sgd : public Optimizer {
 public:
  Sgd(ParameterSlab& slab, double momentum, double decay)
      : Optimizer(slab), momentum_(momentum), decay_(decay) {}

 private:
  void update_range(const SlabRange& range) override;
  double momentum_, decay_;
};

/// LARS, as SimCLR, BYOL and SwAV take it for large batches (kernels/lars.h has the formula). Parameters of
/// one dimension, which are batch norm's and biases, have neither decay nor a rate of their own. Of the
/// dialects in use this is TensorFlow's: BYOL's differs while the rate changes, and LARC, which the paper's
/// linear classifier uses, in what it excludes; the classifier here reads standardised features, for which
/// SGD does.
class Lars : public Optimizer {
 public:
  Lars(ParameterSlab& slab, double momentum, double decay, double trust);

 private:
  void update_range(const SlabRange& range) override;
  double momentum_, decay_, trust_;
  std::vector<int64_t> begins_;  // of all chunks
  Tensor chunks_;                // the same, in the device's memory
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
