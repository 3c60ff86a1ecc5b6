#pragma once
// f: backbone and projection head (paper, section 3). The backbone's pooled features are what evaluation
// uses.
#include <memory>

#include "models/mlp_head.h"
#include "models/resnet.h"

namespace stopgrad {

struct EncoderConfig {
  bool mlp_backbone = false;    // flattened pixels through an MLP: toys, tests, lessons
  std::vector<int> mlp_widths;  // in (height * width * channels), hidden ..., out
  ResNetConfig resnet;
  std::vector<int> projector = {2048, 2048};  // hidden ..., out
  bool hidden_norm = true, output_norm = true, output_affine = true;
  double output_scale = 0;  // see MlpConfig
};

class Encoder {
 public:
  explicit Encoder(const EncoderConfig& config);

  /// x[N, H, W, C] -> features [N, feature_size()]
  Var features(Pass& pass, const Var& x);
  /// features -> z [N, projection_size()]
  Var project(Pass& pass, const Var& features);
  /// Names: "conv1.weight", ..., and the projector as "fc.0.weight", ... as in the released code.
  void visit(const std::string& prefix, Visitor& v);
  void visit_backbone(const std::string& prefix, Visitor& v);

  int feature_size() const;
  int projection_size() const { return projector_->out(); }

 private:
  std::unique_ptr<ResNet> resnet_;  // one of the two
  std::unique_ptr<MlpHead> mlp_;
  std::unique_ptr<MlpHead> projector_;
};

}  // namespace stopgrad
