#include "models/swav.h"

#include <cmath>

namespace stopgrad {

Swav::Swav(const SimSiamConfig& config, const SwavConfig& swav)
    : SimSiam(config),
      swav_(swav),
      prototypes_{.shape = {swav.prototypes, encoder().projection_size()},
                  .init = {Init::uniform, 1 / std::sqrt(encoder().projection_size())}} {
  ENSURE(config.stop_gradient, "swav: the codes have no gradient that could be let through");
  ENSURE(config.predictor == SimSiamConfig::Predictor::none, "swav: it has no predictor");
}

View Swav::online(Pass& pass, const Var& x) {
  View out = SimSiam::online(pass, x);
  const Var unit_z = l2_normalize(out.z);
  const Var c = pass.tape.leaf(prototypes_);
  const Var unit_c = l2_normalize(c);
  out.p = matmul_transposed(unit_z, unit_c);
  return out;
}

/// log q, the codes.
std::vector<Var> Swav::targets(Tape& tape, const Tensor&, const std::vector<View>& online) {
  std::vector<Var> out;
  for (size_t j = 0; j < online.size(); ++j) {
    Tape::Scope scope(tape, fmt::format("view {}", j + 1));
    const Var walled = detach(online[j].p);  // the wall
    out.push_back(sinkhorn(walled, swav_.epsilon, swav_.sinkhorn_iterations));
  }
  return out;
}

/// softmax(log q) is q, whose rows sum to 1.
Var Swav::compare(const std::vector<View>& online, const std::vector<Var>& target) {
  std::vector<Var> logits;
  for (const View& view : online) logits.push_back(scale(view.p, 1 / swav_.temperature));
  std::vector<Direction> swapped;
  for (auto [i, j] : directions()) swapped.push_back({logits[i], target[j]});
  return softmax_similarity(swapped);
}

bool Swav::enter_epoch(int64_t epoch) {
  const bool moves = epoch >= swav_.freeze_epochs, changes = moves != prototypes_.trainable;
  prototypes_.trainable = moves;
  return changes;
}

void Swav::visit(Visitor& v) {
  SimSiam::visit(v);
  v.parameter("prototypes.weight", prototypes_);
}

}  // namespace stopgrad
