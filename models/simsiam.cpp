#include "models/simsiam.h"

namespace stopgrad {

SimSiam::SimSiam(const SimSiamConfig& config) : config_(config), encoder_(config.encoder) {
  if (config.predictor == SimSiamConfig::Predictor::none) return;
  const int d = encoder_.projection_size();
  predictor_ = std::make_unique<MlpHead>(
      MlpConfig{{d, config.predictor_hidden, d}, config.predictor_hidden_norm, config.predictor_output_norm});
  Visitor mark;
  mark.parameter = [&](const std::string&, Parameter& p) {
    p.fixed_rate = config.predictor_fixed_rate;
    if (config.predictor == SimSiamConfig::Predictor::fixed) p.trainable = false;  // keeps its start values
  };
  predictor_->visit("", mark);
}

int SimSiam::views() const {
  switch (config_.symmetry) {
    case SimSiamConfig::Symmetry::asymmetric:
      return 2;
    case SimSiamConfig::Symmetry::asymmetric_2x:
      return 4;
    default:
      return config_.views;
  }
}

std::vector<std::pair<size_t, size_t>> SimSiam::directions() const {
  if (config_.symmetry == SimSiamConfig::Symmetry::asymmetric) return {{0, 1}};
  if (config_.symmetry == SimSiamConfig::Symmetry::asymmetric_2x) return {{0, 1}, {2, 3}};
  const auto views = static_cast<size_t>(config_.views);
  std::vector<std::pair<size_t, size_t>> out;
  for (size_t i = 0; i < views; ++i)
    for (size_t j = 0; j < views; ++j)
      if (i != j) out.emplace_back(i, j);
  return out;
}

/// With an asymmetric loss h also runs on views that are only targets, and no gradient comes of it: one path
/// for all losses is worth that forward pass.
View SimSiam::online(Pass& pass, const Var& x) {
  View out;
  {
    Tape::Scope scope(pass.tape, "encoder");
    const Var y = encoder_.features(pass, x);
    Tape::Scope projector(pass.tape, "fc");
    out.z = encoder_.project(pass, y);
  }
  out.p = out.z;
  if (predictor_) {
    Tape::Scope scope(pass.tape, "predictor");
    out.p = predictor_->forward(pass, out.z);
  }
  return out;
}

std::vector<Var> SimSiam::targets(Tape& tape, const Tensor&, const std::vector<View>& online) {
  std::vector<Var> out(online.size());
  for (auto [i, j] : directions()) {
    if (out[j].value.defined()) continue;
    Tape::Scope scope(tape, fmt::format("view {}", j + 1));
    out[j] = config_.stop_gradient ? detach(online[j].z) : online[j].z;  // the wall
  }
  return out;
}

Var SimSiam::compare(const std::vector<View>& online, const std::vector<Var>& target) {
  std::vector<Direction> pairs;
  for (auto [i, j] : directions()) pairs.push_back({online[i].p, target[j]});
  return config_.similarity == SimSiamConfig::Similarity::cosine ? cosine_loss(pairs)
                                                                 : softmax_similarity(pairs);
}

MethodOutput SimSiam::loss(Tape& tape, const Tensor& views) {
  ENSURE(views.shape().rank() == 5 && views.shape()[0] == this->views(),
         "simsiam: views are {}, not [{},N,H,W,C]", views.shape(), this->views());
  const std::vector<View> view =
      per_view(tape, views, config_.form, [this](Pass& pass, const Var& x) { return online(pass, x); });
  const std::vector<Var> target = targets(tape, views, view);
  MethodOutput out;
  out.loss = compare(view, target);
  for (const View& v : view) {
    out.z.push_back(v.z.value);
    out.p.push_back(v.p.value);
  }
  return out;
}

Tensor SimSiam::features(const Tensor& x) {
  Tape tape(Tape::Mode::off);
  Pass pass{.tape = tape, .training = false};
  const Var y = encoder_.features(pass, tape.input(x));
  return y.value;
}

void SimSiam::visit(Visitor& v) {
  encoder_.visit("encoder.", v);
  if (predictor_) predictor_->visit("predictor.", v);
}

}  // namespace stopgrad
