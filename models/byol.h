#pragma once
// BYOL (Grill et al. 2020, arXiv 2006.07733): SimSiam whose targets come from a second encoder, which no
// gradient trains: it is a moving average of the first.
#include "models/simsiam.h"
#include "models/target_encoder.h"

namespace stopgrad {

/// The loss has SimSiam's scale, the mean of -cos over directions; the published one, the sum of 2 - 2 cos
/// over both, is 4 + 4 times it, so its learning rates are a quarter of those here where SGD takes the step.
class Byol : public SimSiam {
 public:
  /// `momentum`: tau at the first step; 0 copies the encoder after every step, which is SimSiam again but for
  /// the one step that the copy is older.
  Byol(const SimSiamConfig& config, double momentum);

  /// target = tau * target + (1 - tau) * encoder
  void after_step(double progress) override;
  void visit(Visitor& v) override;
  /// 1 - (1 - momentum) (cos(pi progress) + 1) / 2: rises to 1 at the end of training.
  double tau(double progress) const;

 protected:
  std::vector<Var> targets(Tape& tape, const Tensor& views, const std::vector<View>& online) override;

 private:
  double momentum_;
  TargetEncoder target_;
};

}  // namespace stopgrad
