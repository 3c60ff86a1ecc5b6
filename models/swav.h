#pragma once
// SwAV (Caron et al. 2020, arXiv 2006.09882) with views of full size: each view predicts which prototypes the
// other belongs to. The queue of older scores, an option for small batches, is left out.
#include "models/simsiam.h"

namespace stopgrad {

struct SwavConfig {
  int prototypes = 512;  // K
  double epsilon = 0.05, temperature = 0.1;
  int sinkhorn_iterations = 3;
  int64_t freeze_epochs = 1;  // in which prototypes stay at their start values
};

/// loss = mean over ordered pairs of views of -q_j . log softmax(z^_i c^T / temperature), with q_j = sinkhorn
/// of z^_j c^T behind the wall and unit rows c of the prototypes, through whose length the gradient goes as
/// in the SimSiam paper's comparison. It starts above ln K, by 1 / (2 d temperature^2), and is ln K after a
/// collapse. Predictions p are the scores z^ c^T; there is no predictor.
class Swav : public SimSiam {
 public:
  Swav(const SimSiamConfig& config, const SwavConfig& swav);

  bool enter_epoch(int64_t epoch) override;
  void visit(Visitor& v) override;

 protected:
  View online(Pass& pass, const Var& x) override;
  std::vector<Var> targets(Tape& tape, const Tensor& views, const std::vector<View>& online) override;
  Var compare(const std::vector<View>& online, const std::vector<Var>& target) override;

 private:
  SwavConfig swav_;
  Parameter prototypes_;  // [K, d]
};

}  // namespace stopgrad
