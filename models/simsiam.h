#pragma once
// SimSiam (Chen and He 2020, arXiv 2011.10566, section 3) with the switches of its ablations (section 4).
// docs/method.md explains the method beside this code.
#include <memory>

#include "models/encoder.h"
#include "models/method.h"

namespace stopgrad {

struct SimSiamConfig {
  EncoderConfig encoder;
  enum class Predictor { learned, fixed, none } predictor = Predictor::learned;     // Table 1
  int predictor_hidden = 512;                                                       // out is the projector's
  bool predictor_hidden_norm = true, predictor_output_norm = false;                 // Table 3
  bool predictor_fixed_rate = true;                                                 // Table 1 (c)
  bool stop_gradient = true;                                                        // section 4.1
  enum class Similarity { cosine, cross_entropy } similarity = Similarity::cosine;  // section 4.5
  /// Section 4.6. Symmetric: every ordered pair of views. Asymmetric: view 1 predicts view 2; with 2x, four
  /// views, view 3 predicts view 4 as well.
  enum class Symmetry { symmetric, asymmetric, asymmetric_2x } symmetry = Symmetry::symmetric;
  int views = 2;  // of the symmetric loss
  ViewForm form = ViewForm::branch;
};

class SimSiam : public Method {
 public:
  explicit SimSiam(const SimSiamConfig& config);

  MethodOutput loss(Tape& tape, const Tensor& views) override;
  Tensor features(const Tensor& x) override;
  void visit(Visitor& v) override;
  void visit_backbone(Visitor& v) override { encoder_.visit_backbone("", v); }
  int feature_size() const override { return encoder_.feature_size(); }
  int views() const override;

 protected:
  /// z and p of one view, or of all of them in one batch.
  virtual View online(Pass& pass, const Var& x);
  /// What view j's prediction is compared with, for each j that is a target: here its own z, behind the wall.
  virtual std::vector<Var> targets(Tape& tape, const Tensor& views, const std::vector<View>& online);
  /// The loss of predictions against targets: here the mean similarity over directions.
  virtual Var compare(const std::vector<View>& online, const std::vector<Var>& target);
  /// (predicting view, target view)
  std::vector<std::pair<size_t, size_t>> directions() const;
  const SimSiamConfig& config() const { return config_; }
  Encoder& encoder() { return encoder_; }

 private:
  SimSiamConfig config_;
  Encoder encoder_;
  std::unique_ptr<MlpHead> predictor_;  // null without one
};

}  // namespace stopgrad
