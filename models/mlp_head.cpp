#include "models/mlp_head.h"

namespace stopgrad {

MlpHead::MlpHead(const MlpConfig& config) : config_(config) {
  ENSURE(config.widths.size() >= 2, "mlp: {} widths, at least in and out are needed", config.widths.size());
  for (size_t i = 0; i + 1 < config.widths.size(); ++i) {
    const bool last = i + 2 == config.widths.size();
    const bool norm = last ? config.output_norm : config.hidden_norm;
    const int out = config.widths[i + 1];
    linears_.push_back(std::make_unique<Linear>(config.widths[i], out, !norm));
    norms_.push_back(norm ? std::make_unique<BatchNorm>(out, !last || config.output_affine) : nullptr);
    if (last && norm && config.output_scale > 0) {
      norms_[i]->gamma.init = {Init::constant, config.output_scale};
      norms_[i]->gamma.trainable = false;
    }
  }
}

Var MlpHead::forward(Pass& pass, const Var& x) {
  Var y = x;
  for (size_t i = 0; i < linears_.size(); ++i) {
    const bool last = i + 1 == linears_.size();
    y = linears_[i]->forward(pass, y);
    if (norms_[i]) y = norms_[i]->forward(pass, y, !last);
    else if (!last) y = relu(y);
  }
  return y;
}

void MlpHead::visit(const std::string& prefix, Visitor& v) {
  for (size_t i = 0; i < linears_.size(); ++i) {
    linears_[i]->visit(fmt::format("{}{}.", prefix, 3 * i), v);
    if (norms_[i]) norms_[i]->visit(fmt::format("{}{}.", prefix, 3 * i + 1), v);
  }
}

}  // namespace stopgrad
