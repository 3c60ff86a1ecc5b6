#include "models/simsiam.h"

namespace stopgrad {

namespace {
/// [V, N, H, W, C] -> [V * N, H, W, C]
Tensor flatten_views(const Tensor& views) {
  const Shape& s = views.shape();
  return views.reshape({s[0] * s[1], s[2], s[3], s[4]});
}
}  // namespace

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

/// (predicting view, target view)
std::vector<std::pair<size_t, size_t>> SimSiam::directions() const {
  if (config_.symmetry == SimSiamConfig::Symmetry::asymmetric) return {{0, 1}};
  if (config_.symmetry == SimSiamConfig::Symmetry::asymmetric_2x) return {{0, 1}, {2, 3}};
  std::vector<std::pair<size_t, size_t>> out;
  const auto views = static_cast<size_t>(config_.views);
  for (size_t i = 0; i < views; ++i)
    for (size_t j = 0; j < views; ++j)
      if (i != j) out.emplace_back(i, j);
  return out;
}

SimSiam::View SimSiam::branch(Pass& pass, const Var& x) {
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

/// The two forms differ in here and nowhere else. With an asymmetric loss h also runs on views that are only
/// targets, and no gradient comes of it: one path for all losses is worth that forward pass.
std::vector<SimSiam::View> SimSiam::per_view(Tape& tape, const Tensor& views) {
  const int64_t count = views.shape()[0], batch = views.shape()[1];
  std::vector<View> out;
  if (config_.form == ViewForm::branch) {
    for (int64_t v = 0; v < count; ++v) {
      Tape::Scope scope(tape, fmt::format("view {}", v + 1));
      Pass pass{tape};
      const Var x = tape.input(flatten_views(views.part(v, v + 1)), "view");
      out.push_back(branch(pass, x));
    }
    return out;
  }
  Pass pass{.tape = tape, .groups = static_cast<int>(count)};
  const Var x = tape.input(flatten_views(views), "views");
  const View all = branch(pass, x);
  for (int64_t v = 0; v < count; ++v) {
    Tape::Scope scope(tape, fmt::format("view {}", v + 1));
    View part;
    part.z = rows(all.z, v * batch, (v + 1) * batch);
    part.p = predictor_ ? rows(all.p, v * batch, (v + 1) * batch) : part.z;
    out.push_back(part);
  }
  return out;
}

/// z of view `v` as what other views predict: its value, behind the wall.
Var SimSiam::target_of(const Var& z, size_t v) const {
  Tape::Scope scope(*z.tape, fmt::format("view {}", v + 1));
  return config_.stop_gradient ? detach(z) : z;  // the wall
}

MethodOutput SimSiam::loss(Tape& tape, const Tensor& views) {
  ENSURE(views.shape().rank() == 5 && views.shape()[0] == this->views(),
         "simsiam: views are {}, not [{},N,H,W,C]", views.shape(), this->views());
  const std::vector<View> view = per_view(tape, views);
  std::vector<Var> target(view.size());  // made once each, however many views predict it
  std::vector<Direction> pairs;
  for (auto [i, j] : directions()) {
    if (!target[j].value.defined()) target[j] = target_of(view[j].z, j);
    pairs.push_back({view[i].p, target[j]});
  }
  MethodOutput out;
  out.loss = config_.similarity == SimSiamConfig::Similarity::cosine ? cosine_loss(pairs)
                                                                     : softmax_similarity(pairs);
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
