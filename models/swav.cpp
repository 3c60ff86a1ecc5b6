#include "models/swav.h"

#include <cmath>

#include "engine/ops.h"

namespace stopgrad {

Swav::Swav(const SwavConfig& config)
    : config_(config),
      encoder_(config.encoder),
      prototypes_{.shape = {config.prototypes, encoder_.projection_size()},
                  .init = {Init::uniform, 1 / std::sqrt(encoder_.projection_size())}} {}

MethodOutput Swav::loss(Tape& tape, const Tensor& views) {
  ENSURE(views.shape().rank() == 5 && views.shape()[0] == config_.views,
         "swav: views are {}, not [{},N,H,W,C]", views.shape(), config_.views);
  const Var c = tape.leaf(prototypes_);
  const Var unit_c = l2_normalize(c);
  const std::vector<View> view = per_view(tape, views, config_.form, [&](Pass& pass, const Var& x) {
    View out;
    {
      Tape::Scope scope(tape, "encoder");
      const Var y = encoder_.features(pass, x);
      Tape::Scope projector(tape, "fc");
      out.z = encoder_.project(pass, y);
    }
    const Var unit_z = l2_normalize(out.z);
    out.p = matmul_transposed(unit_z, unit_c);
    return out;
  });
  std::vector<Var> logits, codes;
  for (size_t i = 0; i < view.size(); ++i) {
    Tape::Scope scope(tape, fmt::format("view {}", i + 1));
    logits.push_back(scale(view[i].p, 1 / config_.temperature));
    const Var walled = detach(view[i].p);  // the wall
    codes.push_back(sinkhorn(walled, config_.epsilon, config_.sinkhorn_iterations));
  }
  std::vector<Direction> swapped;
  for (size_t i = 0; i < view.size(); ++i)
    for (size_t j = 0; j < view.size(); ++j)
      if (i != j) swapped.push_back({logits[i], codes[j]});
  MethodOutput out;
  out.loss = softmax_similarity(swapped);  // softmax(log q) is q, whose rows sum to 1
  for (const View& v : view) {
    out.z.push_back(v.z.value);
    out.p.push_back(v.p.value);
  }
  return out;
}

Tensor Swav::features(const Tensor& x) {
  Tape tape(Tape::Mode::off);
  Pass pass{.tape = tape, .training = false};
  const Var y = encoder_.features(pass, tape.input(x));
  return y.value;
}

bool Swav::enter_epoch(int64_t epoch) {
  const bool moves = epoch >= config_.freeze_epochs, changes = moves != prototypes_.trainable;
  prototypes_.trainable = moves;
  return changes;
}

void Swav::visit(Visitor& v) {
  encoder_.visit("encoder.", v);
  v.parameter("prototypes.weight", prototypes_);
}

}  // namespace stopgrad
