#pragma once
// SwAV (Caron et al. 2020, arXiv 2006.09882) with views of full size: each view predicts which prototypes the
// other belongs to. The queue of older scores, an option for small batches, is left out.
#include "models/encoder.h"
#include "models/method.h"

namespace stopgrad {

struct SwavConfig {
  EncoderConfig encoder;
  int prototypes = 512;  // K
  double epsilon = 0.05, temperature = 0.1;
  int sinkhorn_iterations = 3;
  int64_t freeze_epochs = 1;  // in which prototypes stay at their start values
  int views = 2;
  ViewForm form = ViewForm::branch;
};

/// loss = mean over ordered pairs of views of -q_j . log softmax(z^_i c^T / temperature), with q_j = sinkhorn
/// of z^_j c^T behind the wall and unit rows c of the prototypes, through whose length the gradient goes as
/// in the SimSiam paper's comparison. It starts above ln K, by 1 / (2 d temperature^2), and is ln K after a
/// collapse.
class Swav : public Method {
 public:
  explicit Swav(const SwavConfig& config);

  MethodOutput loss(Tape& tape, const Tensor& views) override;
  Tensor features(const Tensor& x) override;
  bool enter_epoch(int64_t epoch) override;
  void visit(Visitor& v) override;
  void visit_backbone(Visitor& v) override { encoder_.visit_backbone("", v); }
  int feature_size() const override { return encoder_.feature_size(); }
  int views() const override { return config_.views; }

 private:
  SwavConfig config_;
  Encoder encoder_;
  Parameter prototypes_;  // [K, d]
};

}  // namespace stopgrad
