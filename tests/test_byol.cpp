// BYOL: what sets it apart from SimSiam is where the targets come from, and nothing else.
#include "models/byol.h"

#include "kernels/elementwise.h"
#include "tests/toy.h"

using namespace stopgrad;
using namespace stopgrad::test;

namespace {

SimSiamConfig config_of(bool residual, ViewForm form) {
  SimSiamConfig c = toy_config(residual);
  c.form = form;
  return c;
}

Toy byol(const SimSiamConfig& config, double momentum) {
  return Toy(std::make_unique<Byol>(config, momentum));
}

/// Parameters whose name begins so, by the rest of the name.
std::map<std::string, Parameter*> parameters_of(const ParameterSlab& slab, const std::string& prefix) {
  std::map<std::string, Parameter*> out;
  for (Parameter* p : slab.parameters())
    if (p->name.starts_with(prefix)) out[p->name.substr(prefix.size())] = p;
  return out;
}

}  // namespace

TEST_CASE("the published loss of BYOL is 4 + 4 times the mean of -cos, and so is its gradient", "[byol]") {
  Bench bench;
  std::vector<double> p1, p2, z1, z2;
  for (int i = 0; i < 3; ++i)
    for (int j = 0; j < 4; ++j) {
      p1.push_back(std::sin(1 + .7 * i + 1.3 * j));
      z2.push_back(std::cos(.5 + 1.1 * i - .9 * j));
      p2.push_back(std::sin(.3 + 1.7 * i + .4 * j * j));
      z1.push_back(std::cos(2 - .6 * i + .8 * j));
    }
  const auto matrix = [&](const std::vector<double>& v) {
    return Tensor::of<double>(bench.pool(), {3, 4}, v);
  };
  Tape tape;
  const Var a = tape.variable(matrix(p1)), b = tape.variable(matrix(p2));
  const Var loss = cosine_loss({{a, detach(tape.input(matrix(z2)))}, {b, detach(tape.input(matrix(z1)))}});
  CHECK(4 + 4 * loss.value.item() == Approx(4.587898022036).epsilon(1e-12));
  tape.backward(loss);
  const std::vector<double> gradient = tape.gradient(a).to_vector<double>();
  const double published[] = {-.06704936, -.10242324, -.18343439, -.05254622};
  for (size_t j = 0; j < 4; ++j) CHECK(4 * gradient[j] == Approx(published[j]).margin(1e-8));
}

TEST_CASE("with a target that is a copy BYOL is SimSiam, bit for bit", "[byol][wall]") {
  for (bool residual : {false, true})
    for (ViewForm form : {ViewForm::branch, ViewForm::batched})
      DYNAMIC_SECTION((residual ? "residual net" : "mlp")
                      << (form == ViewForm::branch ? ", branch" : ", batched")) {
        Toy plain(config_of(residual, form)), with_target = byol(config_of(residual, form), 0);
        const double apart = with_target.loss();
        with_target.method.after_step(0);
        CHECK(with_target.loss() == plain.loss());
        CHECK(apart != plain.loss());  // the target starts at values of its own
        CHECK(with_target.gradient() == plain.gradient());
      }
}

TEST_CASE("no gradient enters the target, and that of the rest is the gradient of the printed loss",
          "[byol][wall][gradient]") {
  for (ViewForm form : {ViewForm::branch, ViewForm::batched}) {
    Toy toy = byol(config_of(true, form), 0.9);
    Tape tape;
    const MethodOutput out = toy.method.loss(tape, toy.views);
    tape.backward(out.loss);
    int walls = 0, of_target = 0;
    for (const TapeEntry& e : tape.entries()) {
      walls += e.wall;
      if (e.scope.find("target") == std::string::npos) continue;
      CHECK_FALSE(e.got_grad);
      ++of_target;
    }
    CHECK(walls == 2);
    CHECK(of_target > 5);
    const std::vector<double> analytic = toy.gradient();
    CHECK(norm(analytic) > 1e-2);
    CHECK(distance(analytic, toy.differences([&] { return toy.loss(); })) < 1e-6);
  }
}

TEST_CASE("the target is the moving average of the encoder's parameters; its running statistics are its own",
          "[byol]") {
  Toy toy = byol(config_of(true, ViewForm::batched), 0.75);
  const auto source = parameters_of(toy.slab, "encoder."), target = parameters_of(toy.slab, "target.");
  REQUIRE(source.size() == target.size());
  REQUIRE(source.size() > 10);
  std::map<std::string, std::vector<double>> before;
  for (const auto& [name, p] : target) before[name] = p->value.to_vector<double>();
  toy.forward();  // in training mode: both encoders gather statistics
  std::map<std::string, std::vector<double>> statistics;
  for (const Buffer* b : toy.slab.buffers()) statistics[b->name] = b->value.to_vector<double>();
  const double progress = 0.25, tau = static_cast<Byol&>(toy.method).tau(progress);
  CHECK(tau == Approx(1 - .25 * (std::sqrt(.5) + 1) / 2));
  toy.method.after_step(progress);
  for (const auto& [name, p] : target) {
    INFO(name);
    const std::vector<double> now = p->value.to_vector<double>(),
                              online = source.at(name)->value.to_vector<double>();
    for (size_t i = 0; i < now.size(); ++i)
      CHECK(now[i] == Approx(tau * before[name][i] + (1 - tau) * online[i]).margin(1e-15));
  }
  for (const Buffer* b : toy.slab.buffers()) CHECK(statistics[b->name] == b->value.to_vector<double>());
  CHECK(statistics.at("target.bn1.running_mean") != statistics.at("encoder.bn1.running_mean"));
}

TEST_CASE("tau rises from its base to 1", "[byol]") {
  const Byol method(toy_config(), 0.996);
  CHECK(method.tau(0) == Approx(0.996));
  CHECK(method.tau(0.5) == Approx(0.998));
  CHECK(method.tau(1) == 1);
}

TEST_CASE("in bf16 operations read the target's new values", "[byol]") {
  cpu::Context context{1};
  Byol method(toy_config(), 0.5);
  ParameterSlab slab(Pool(Device{.cpu = &context}), DType::bf16, [&](Visitor& v) { method.visit(v); });
  slab.initialize(3);
  method.after_step(0);
  const std::vector<bf16> moved = slab.compute.to_vector<bf16>();
  slab.refresh_compute();
  CHECK(same_bits(moved, slab.compute.to_vector<bf16>()));
}
