// Stop-gradient, the heart of SimSiam: a missing wall gives plausible losses, so its properties are tested
// one by one.
#include "tests/toy.h"

using namespace stopgrad;
using namespace stopgrad::test;

namespace {

SimSiamConfig config_of(bool residual, ViewForm form, bool stop_gradient = true) {
  SimSiamConfig c = toy_config(residual);
  c.form = form;
  c.stop_gradient = stop_gradient;
  return c;
}

/// The symmetric loss with both targets held at what they were.
double frozen_loss(Toy& toy, const std::vector<double>& z1, const std::vector<double>& z2) {
  const MethodOutput out = toy.forward();
  return (plain_cosine_loss(out.p[0], z2) + plain_cosine_loss(out.p[1], z1)) / 2;
}

Tensor swapped(const Tensor& views) {
  Tensor out = like(views);
  out.part(0, 1).from_host(views.part(1, 2).raw());
  out.part(1, 2).from_host(views.part(0, 1).raw());
  return out;
}

}  // namespace

TEST_CASE("detach passes the value and no gradient", "[wall]") {
  Bench bench;
  Tape tape;
  const Var x = tape.variable(Tensor::of<double>(bench.pool(), {2}, {3, -4}));
  const Var wall = detach(x);
  CHECK(wall.value.raw() == x.value.raw());
  const Var sum = add(x, wall);
  const Var loss = weigh(sum, 11);
  tape.backward(loss);
  CHECK(
      same_bits(tape.gradient(x).to_vector<double>(), random<double>(2, 11)));  // 1, not 2 times the weights
  CHECK(tape.entries()[1].wall);
  CHECK_FALSE(tape.entries()[1].got_grad);
}

TEST_CASE("behind a wall the gradient is absent, not small", "[wall]") {
  SimSiamConfig c = toy_config();
  c.symmetry = SimSiamConfig::Symmetry::asymmetric;  // view 2 is only a target
  Toy toy(c);
  Tape tape;
  const MethodOutput out = toy.method.loss(tape, toy.views);
  tape.backward(out.loss);
  int walls = 0, behind = 0;
  for (const TapeEntry& e : tape.entries()) {
    walls += e.wall;
    if (!e.scope.starts_with("view 2") || e.wall || !e.wants_grad) continue;
    INFO(e.name << " in " << e.scope);
    CHECK_FALSE(e.got_grad);
    ++behind;
  }
  CHECK(walls == 1);
  CHECK(behind > 5);
}

TEST_CASE("the gradient of SimSiam is that of the loss with frozen targets, and of nothing else",
          "[wall][gradient]") {
  for (bool residual : {false, true})
    for (ViewForm form : {ViewForm::branch, ViewForm::batched})
      DYNAMIC_SECTION((residual ? "residual net" : "mlp")
                      << (form == ViewForm::branch ? ", branch" : ", batched")) {
        Toy toy(config_of(residual, form));
        const MethodOutput start = toy.forward();
        const std::vector<double> z1 = start.z[0].to_vector<double>(), z2 = start.z[1].to_vector<double>();
        CHECK(frozen_loss(toy, z1, z2) == Approx(toy.loss()).epsilon(1e-12));
        const std::vector<double> analytic = toy.gradient();
        const std::vector<double> frozen = toy.differences([&] { return frozen_loss(toy, z1, z2); });
        CHECK(norm(analytic) > 1e-2);
        CHECK(distance(analytic, frozen) < 1e-6);
        // The stopped gradient is not the gradient of the number that is printed as the loss.
        CHECK(distance(analytic, toy.differences([&] { return toy.loss(); })) > 0.1);
      }
}

TEST_CASE("without the wall the gradient is that of the whole loss", "[wall][gradient]") {
  for (bool residual : {false, true})
    for (ViewForm form : {ViewForm::branch, ViewForm::batched}) {
      Toy toy(config_of(residual, form, false));
      CHECK(distance(toy.gradient(), toy.differences([&] { return toy.loss(); })) < 1e-6);
    }
}

TEST_CASE("the symmetric gradient is the mean of the two directions", "[wall]") {
  Toy both(toy_config());
  SimSiamConfig c = toy_config();
  c.symmetry = SimSiamConfig::Symmetry::asymmetric;
  Toy one(c);
  const std::vector<double> forth = one.gradient(), back = one.gradient_of(swapped(one.views));
  std::vector<double> mean(forth.size());
  for (size_t i = 0; i < mean.size(); ++i) mean[i] = (forth[i] + back[i]) / 2;
  CHECK(distance(both.gradient(), mean) < 1e-12);
}

TEST_CASE("both forms of the views give one loss and one gradient", "[wall]") {
  for (bool residual : {false, true})
    for (bool wall : {true, false}) {
      Toy branch(config_of(residual, ViewForm::branch, wall)),
          batched(config_of(residual, ViewForm::batched, wall));
      CHECK(branch.loss() == Approx(batched.loss()).epsilon(1e-13));
      CHECK(distance(branch.gradient(), batched.gradient()) < 1e-12);
      for (size_t i = 0; i < branch.slab.buffers().size(); ++i)  // running statistics, view after view
        CHECK(distance(branch.slab.buffers()[i]->value.to_vector<double>(),
                       batched.slab.buffers()[i]->value.to_vector<double>()) < 1e-13);
    }
}

TEST_CASE("with the identity as predictor the wall halves the gradient exactly", "[wall]") {
  SimSiamConfig c = toy_config();
  c.predictor = SimSiamConfig::Predictor::none;
  Toy with(c);
  c.stop_gradient = false;
  Toy without(c);
  std::vector<double> half = without.gradient();
  for (double& g : half) g /= 2;
  CHECK(distance(with.gradient(), half) < 1e-13);
}

TEST_CASE("a fixed predictor passes the gradient on and gets none", "[wall]") {
  SimSiamConfig c = toy_config();
  c.predictor = SimSiamConfig::Predictor::fixed;
  Toy toy(c);
  const MethodOutput start = toy.forward();
  const std::vector<double> z1 = start.z[0].to_vector<double>(), z2 = start.z[1].to_vector<double>();
  const std::vector<double> analytic = toy.gradient();
  CHECK(distance(analytic, toy.differences([&] { return frozen_loss(toy, z1, z2); })) < 1e-6);
  for (const Parameter* p : toy.slab.parameters()) {
    INFO(p->name);
    CHECK(p->has_grad == !p->name.starts_with("predictor."));
  }
}

TEST_CASE("the shift of the output norm gets a gradient only where there is no wall", "[wall]") {
  // The predictor's batch norm cancels what all its inputs share, so only the target can pull at the shift.
  for (const bool wall : {true, false}) {
    SimSiamConfig c = config_of(false, ViewForm::branch, wall);
    c.encoder.output_scale = 0.5;
    Toy toy(c);
    toy.gradient();
    int found = 0;
    for (const Parameter* p : toy.slab.parameters()) {
      if (p->name == "encoder.fc.4.weight") {
        CHECK(p->value.to_vector<double>() == std::vector<double>(4, 0.5));
        CHECK_FALSE(p->has_grad);
        ++found;
      }
      if (p->name == "encoder.fc.4.bias") {
        CHECK((norm(p->grad.to_vector<double>()) < 1e-12) == wall);
        ++found;
      }
    }
    CHECK(found == 2);
  }
}

TEST_CASE("a kept scale of the output norm is seen by the predictor's hidden norm alone", "[wall]") {
  // The loss does not see the length of z. The hidden norm does, once eps (1e-5) counts beside the variance
  // of its inputs, which is about a third of the scale's square.
  auto encoder_gradient = [](double scale) {
    SimSiamConfig c = toy_config();
    c.encoder.output_scale = scale;
    Toy toy(c);
    toy.gradient();
    std::vector<double> out;
    for (const Parameter* p : toy.slab.parameters()) {
      if (!p->name.starts_with("encoder.") || !p->trainable) continue;
      const std::vector<double> g = p->grad.to_vector<double>();
      out.insert(out.end(), g.begin(), g.end());
    }
    return out;
  };
  const std::vector<double> one = encoder_gradient(1);
  CHECK(distance(encoder_gradient(0.1), one) < 0.01);
  CHECK(distance(encoder_gradient(0.001), one) > 0.1);
}

TEST_CASE("the similarities, symmetries and view counts of the paper have right gradients",
          "[wall][gradient]") {
  SimSiamConfig c = toy_config();
  c.stop_gradient = false;
  SECTION("cross entropy") { c.similarity = SimSiamConfig::Similarity::cross_entropy; }
  SECTION("asymmetric, two pairs") { c.symmetry = SimSiamConfig::Symmetry::asymmetric_2x; }
  SECTION("three views") { c.views = 3; }
  SECTION("four views") { c.views = 4; }
  SECTION("four views, cross entropy") {
    c.views = 4;
    c.similarity = SimSiamConfig::Similarity::cross_entropy;
  }
  SECTION("no batch norm in the heads") {
    c.encoder.hidden_norm = c.encoder.output_norm = c.predictor_hidden_norm = false;
  }
  SECTION("batch norm everywhere") { c.predictor_output_norm = true; }
  SECTION("plain output batch norm") { c.encoder.output_affine = false; }
  SECTION("output batch norm of a kept scale") { c.encoder.output_scale = 0.01; }
  Toy toy(c);
  CHECK(distance(toy.gradient(), toy.differences([&] { return toy.loss(); })) < 1e-6);
}
