#include "models/byol.h"

#include <cmath>
#include <numbers>

namespace stopgrad {

Byol::Byol(const SimSiamConfig& config, double momentum)
    : SimSiam(config), momentum_(momentum), target_(config.encoder) {
  ENSURE(config.stop_gradient, "byol: the target has no gradient that could be let through");
}

std::vector<Var> Byol::targets(Tape& tape, const Tensor& views, const std::vector<View>&) {
  return target_.project(tape, views, config().form);
}

double Byol::tau(double progress) const {
  return 1 - (1 - momentum_) * (std::cos(std::numbers::pi * progress) + 1) / 2;
}

void Byol::after_step(double progress) { target_.follow(encoder(), tau(progress)); }

void Byol::visit(Visitor& v) {
  SimSiam::visit(v);
  target_.visit(v);
}

}  // namespace stopgrad
