#include "models/encoder.h"

namespace stopgrad {

Encoder::Encoder(const EncoderConfig& c) {
  if (c.mlp_backbone)
    mlp_ = std::make_unique<MlpHead>(MlpConfig{.widths = c.mlp_widths, .output_norm = true});
  else resnet_ = std::make_unique<ResNet>(c.resnet);
  std::vector<int> widths = {feature_size()};
  widths.insert(widths.end(), c.projector.begin(), c.projector.end());
  projector_ = std::make_unique<MlpHead>(
      MlpConfig{widths, c.hidden_norm, c.output_norm, c.output_affine, c.output_scale});
}

Var Encoder::features(Pass& pass, const Var& x) {
  if (resnet_) return resnet_->forward(pass, x);
  const Var flat = reshape(x, {x.shape()[0], x.shape().count() / x.shape()[0]});
  const Var y = mlp_->forward(pass, flat);
  return relu(y);
}

Var Encoder::project(Pass& pass, const Var& features) { return projector_->forward(pass, features); }

void Encoder::visit_backbone(const std::string& prefix, Visitor& v) {
  if (resnet_) resnet_->visit(prefix, v);
  else mlp_->visit(prefix, v);
}

void Encoder::visit(const std::string& prefix, Visitor& v) {
  visit_backbone(prefix, v);
  projector_->visit(prefix + "fc.", v);
}

int Encoder::feature_size() const { return resnet_ ? resnet_->feature_size() : mlp_->out(); }

}  // namespace stopgrad
