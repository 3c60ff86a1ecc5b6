// SimCLR and MoCo: the loss against published numbers, and where its gradient goes.
#include <numeric>

#include "kernels/memory.h"
#include "models/moco.h"
#include "models/simclr.h"
#include "tests/reference/rows.h"
#include "tests/toy.h"

using namespace stopgrad;
using namespace stopgrad::test;

namespace {

SimSiamConfig config_of(SimSiamConfig::Predictor predictor, bool stop_gradient, ViewForm form,
                        bool residual = true) {
  SimSiamConfig c = toy_config(residual);
  c.predictor = predictor;
  c.stop_gradient = stop_gradient;
  c.form = form;
  return c;
}
constexpr auto kNone = SimSiamConfig::Predictor::none, kLearned = SimSiamConfig::Predictor::learned;

Toy simclr(SimSiamConfig::Predictor predictor, bool stop_gradient, ViewForm form, double temperature = 0.5) {
  return Toy(std::make_unique<Simclr>(config_of(predictor, stop_gradient, form), temperature));
}

/// Five images per view, a queue of twenty keys.
Toy moco(double momentum, ViewForm form = ViewForm::batched,
         SimSiamConfig::Symmetry symmetry = SimSiamConfig::Symmetry::symmetric) {
  SimSiamConfig config = config_of(kNone, true, form);
  config.symmetry = symmetry;
  return Toy(std::make_unique<Moco>(config, MocoConfig{0.2, momentum, 20}));
}

Tensor tensor_of(const Bench& bench, const Matrix& m) {
  return Tensor::of<double>(bench.pool(), {m.rows, m.channels}, m.at);
}

Var unit_rows(const std::vector<Var>& parts) {
  const Var joined = join_rows(parts);
  return l2_normalize(joined);
}

void check_row(const Tensor& gradient, const std::vector<double>& want) {
  const std::vector<double> got = gradient.to_vector<double>();
  for (size_t j = 0; j < want.size(); ++j) CHECK(got[j] == Approx(want[j]).margin(6e-9).epsilon(0));
}

Parameter& parameter(const Toy& toy, const std::string& name) {
  for (Parameter* p : toy.slab.parameters())
    if (p->name == name) return *p;
  throw std::runtime_error("no parameter " + name);
}

/// Values of all parameters whose name begins so.
std::vector<double> values_of(const Toy& toy, const std::string& prefix) {
  std::vector<double> out;
  for (const Parameter* p : toy.slab.parameters())
    if (p->name.starts_with(prefix)) {
      const std::vector<double> v = p->value.to_vector<double>();
      out.insert(out.end(), v.begin(), v.end());
    }
  return out;
}

}  // namespace

TEST_CASE("NT-Xent and its gradients are the golden ones", "[simclr]") {
  const Bench bench;
  Tape tape;
  const Var z1 = tape.variable(tensor_of(bench, golden_z1())),
            z2 = tape.variable(tensor_of(bench, golden_z2()));
  const Var u = unit_rows({z1, z2});
  InfoNce info_nce(0.5, Simclr::candidates);
  const Var loss = info_nce.loss(u, u);
  CHECK(loss.value.item() == Approx(3.669880056597).epsilon(1e-12));
  tape.backward(loss);
  check_row(tape.gradient(z1), {-.08655109, -.05659393, .05259739, .13722864});
  check_row(tape.gradient(z2), {-.05173205, .11136895, .23201432, .20261986});
}

TEST_CASE("NT-Xent of predictions against projections has the golden value and gradients", "[simclr]") {
  const Bench bench;
  Tape tape;
  const Var p1 = tape.variable(tensor_of(bench, golden_p1())),
            p2 = tape.variable(tensor_of(bench, golden_p2()));
  const Var z1 = tape.variable(tensor_of(bench, golden_z1())),
            z2 = tape.variable(tensor_of(bench, golden_z2()));
  const Var queries = unit_rows({p1, p2});
  const Var keys = unit_rows({z1, z2});
  InfoNce info_nce(0.5, Simclr::candidates);
  const Var loss = info_nce.loss(queries, keys);
  CHECK(loss.value.item() == Approx(2.554565995887).epsilon(1e-12));
  tape.backward(loss);
  check_row(tape.gradient(p1), {-.02101286, -.08022748, -.09162288, -.03762295});
  check_row(tape.gradient(z1), {.0701403, .00337172, -.11948092, .24331906});
}

TEST_CASE("MoCo's loss and the gradient of its queries are the golden ones", "[moco]") {
  const Bench bench;
  Matrix queue{5, 4, std::vector<double>(20)};
  for (int m = 0; m < 5; ++m)
    for (int j = 0; j < 4; ++j) queue(m, j) = std::sin(.2 + .9 * m + 1.1 * j);
  Tape tape;
  const Var z1 = tape.variable(tensor_of(bench, golden_z1()));
  const Var queries = unit_rows({z1});
  const Var z2 = tape.input(tensor_of(bench, golden_z2())), older = tape.input(tensor_of(bench, queue));
  const Var keys = unit_rows({z2, older});
  InfoNce info_nce(0.2, Moco::candidates);
  const Var loss = info_nce.loss(queries, keys);
  CHECK(loss.value.item() == Approx(9.197413396320).epsilon(1e-12));
  tape.backward(loss);
  check_row(tape.gradient(z1), {-.13871384, -.34904711, .11908221, .91046994});
}

TEST_CASE("in bf16 a temperature of 0.05 leaves the loss close to that of the rounded rows", "[simclr]") {
  const Bench bench;
  const std::vector<bf16> rounded = random<bf16>(64 * 32, 5);
  std::vector<double> wide;
  for (const bf16 x : rounded) wide.push_back(to_double(x));
  const auto loss_of = [&](const Tensor& z) {
    Tape tape;
    const Var x = tape.variable(z);
    const Var u = l2_normalize(x);
    InfoNce info_nce(0.05, Simclr::candidates);
    const Var loss = info_nce.loss(u, u);
    tape.backward(loss);
    return std::pair{loss.value.item(), tape.gradient(x)};
  };
  const auto [half, gradient] = loss_of(Tensor::of(bench.pool(), {64, 32}, rounded));
  const auto [full, want] = loss_of(Tensor::of<double>(bench.pool(), {64, 32}, wide));
  // unit rows off by 2^-9 of each element turn a cosine by about 2^-9 / sqrt(32), over 0.05
  CHECK(half == Approx(full).margin(0.02));
  std::vector<double> got;
  for (const bf16 x : gradient.to_vector<bf16>()) got.push_back(to_double(x));
  CHECK(distance(got, want.to_vector<double>()) < 0x1p-5);
}

TEST_CASE("SimCLR's gradient is that of its loss, with a predictor too; the wall takes the keys' part away",
          "[simclr][wall][gradient]") {
  for (const ViewForm form : {ViewForm::branch, ViewForm::batched})
    for (const auto predictor : {kNone, kLearned}) {
      INFO((form == ViewForm::branch ? "branch" : "batched") << (predictor == kNone ? "" : ", predictor"));
      Toy toy = simclr(predictor, false, form);
      const std::vector<double> analytic = toy.gradient();
      const std::vector<double> numeric = toy.differences([&] { return toy.loss(); });
      CHECK(norm(analytic) > 1e-2);
      CHECK(distance(analytic, numeric) < 1e-6);
      Toy walled = simclr(predictor, true, form);
      CHECK(walled.loss() == toy.loss());
      CHECK(distance(walled.gradient(), numeric) > 0.05);
    }
}

TEST_CASE("of walled SimCLR the gradient is that of the loss whose keys stand still",
          "[simclr][wall][gradient]") {
  Toy toy = simclr(kLearned, true, ViewForm::branch);
  const std::vector<double> analytic = toy.gradient();
  const MethodOutput still = toy.forward();
  const std::vector<Tensor> z = still.z;
  const auto with_still_keys = [&] {
    const MethodOutput now = toy.forward();
    Tape tape(Tape::Mode::off);
    const Var queries = unit_rows({tape.input(now.p[0]), tape.input(now.p[1])});
    const Var keys = unit_rows({tape.input(z[0]), tape.input(z[1])});
    InfoNce info_nce(0.5, Simclr::candidates);
    return info_nce.loss(queries, keys).value.item();
  };
  CHECK(with_still_keys() == toy.loss());
  CHECK(distance(analytic, toy.differences(with_still_keys)) < 1e-6);
}

TEST_CASE("branch and batched SimCLR and MoCo agree", "[simclr][moco]") {
  const auto both = [](auto make) {
    Toy branch = make(ViewForm::branch), batched = make(ViewForm::batched);
    CHECK(branch.loss() == Approx(batched.loss()).epsilon(1e-13));
    CHECK(distance(branch.gradient(), batched.gradient()) < 1e-12);
  };
  both([](ViewForm form) { return simclr(kLearned, false, form); });
  both([](ViewForm form) { return moco(0.9, form); });
}

TEST_CASE("no gradient enters MoCo's keys or queue, and that of the rest is the gradient of the printed loss",
          "[moco][wall][gradient]") {
  using Symmetry = SimSiamConfig::Symmetry;
  for (const auto symmetry : {Symmetry::symmetric, Symmetry::asymmetric}) {
    Toy toy = moco(0.9, ViewForm::branch, symmetry);
    Tape tape;
    const MethodOutput out = toy.method.loss(tape, toy.views);
    tape.backward(out.loss);
    int walls = 0, of_target = 0, queues = 0;
    for (const TapeEntry& e : tape.entries()) {
      walls += e.wall;
      const bool target = e.scope.find("target") != std::string::npos, queue = e.name == std::string("queue");
      of_target += target;
      queues += queue;
      if (target || queue || e.wall) CHECK_FALSE(e.got_grad);
    }
    CHECK(walls == 2);
    CHECK(of_target > 5);
    CHECK(queues == 1);
    const std::vector<double> analytic = toy.gradient();
    CHECK(norm(analytic) > 1e-2);
    CHECK(distance(analytic, toy.differences([&] { return toy.loss(); })) < 1e-6);
  }
}

TEST_CASE("MoCo's keys come from a copy at first, which m = 1 keeps and m = 0 renews", "[moco]") {
  for (const double momentum : {0.0, 0.75, 1.0}) {
    Toy toy = moco(momentum);
    const std::vector<double> start = values_of(toy, "target.");
    CHECK(start == values_of(toy, "encoder."));
    for (Parameter* p : toy.slab.parameters())
      if (p->name.starts_with("encoder.")) p->value.data<double>()[0] += 1;
    toy.method.after_step(0.5);
    const std::vector<double> now = values_of(toy, "target."), online = values_of(toy, "encoder.");
    std::vector<double> want;
    for (size_t i = 0; i < now.size(); ++i) want.push_back(momentum * start[i] + (1 - momentum) * online[i]);
    CHECK(distance(now, want) < 1e-15);
  }
}

TEST_CASE("MoCo's queue starts as random unit vectors and holds the last keys, oldest replaced first",
          "[moco]") {
  using Symmetry = SimSiamConfig::Symmetry;
  for (const auto symmetry : {Symmetry::symmetric, Symmetry::asymmetric}) {
    Toy toy = moco(0, ViewForm::batched, symmetry);
    const auto queue = [&] { return parameter(toy, "queue").value.to_vector<double>(); };
    std::vector<double> want = queue();
    for (size_t row = 0; row < want.size(); row += 4)
      CHECK(std::inner_product(&want[row], &want[row] + 4, &want[row], 0.0) == Approx(1));
    CHECK(want[0] != want[4]);
    const size_t keys = symmetry == Symmetry::symmetric ? 10 : 5, steps = 20 / keys + 1;
    for (size_t step = 0; step < steps; ++step) {
      toy.views.data<double>()[0] += 1;  // another batch each time
      const MethodOutput out = toy.forward();
      toy.method.after_step(0);
      // with m = 0 the target is the encoder, whose z the output shows
      std::vector<Tensor> z = {out.z[1]};
      if (symmetry == Symmetry::symmetric) z.push_back(out.z[0]);
      std::vector<double> fresh;
      for (const Tensor& t : z) {
        const std::vector<double> rows = t.to_vector<double>();
        for (size_t row = 0; row < rows.size(); row += 4) {
          const double length = std::sqrt(std::inner_product(&rows[row], &rows[row] + 4, &rows[row], 0.0));
          for (size_t j = 0; j < 4; ++j) fresh.push_back(rows[row + j] / length);
        }
      }
      REQUIRE(fresh.size() == 4 * keys);
      std::copy(fresh.begin(), fresh.end(), want.begin() + 4 * (step * keys % 20));
      CHECK(distance(queue(), want) < 1e-14);
    }
  }
}

TEST_CASE("in bf16 the queue that is saved and the one that is read agree", "[moco]") {
  cpu::Context context{1};
  Moco method(config_of(kNone, true, ViewForm::batched), {0.2, 0.5, 20});
  const Pool pool(Device{.cpu = &context});
  ParameterSlab slab(pool, DType::bf16, [&](Visitor& v) { method.visit(v); });
  slab.initialize(3);
  method.after_initialize();
  const auto agree = [&] {
    const std::vector<bf16> read = slab.compute.to_vector<bf16>();
    slab.refresh_compute();
    CHECK(same_bits(read, slab.compute.to_vector<bf16>()));
  };
  agree();
  const Tensor before = like(slab.values);
  copy_on_device(before.device(), before.raw(), slab.values.raw(), before.bytes());
  Tape tape(Tape::Mode::off);
  method.loss(tape, Tensor::of(pool, {2, 5, 2, 2, 3}, random<bf16>(120, 17)));
  method.after_step(0);
  CHECK(before.to_vector<float>() != slab.values.to_vector<float>());
  agree();
}

TEST_CASE("a queue that is no multiple of a step's keys is an error", "[moco]") {
  Toy toy(std::make_unique<Moco>(config_of(kNone, true, ViewForm::batched), MocoConfig{0.2, 0.5, 15}));
  CHECK_THROWS_WITH(toy.loss(), Catch::Contains("a queue of 15 keys is no multiple of the 10"));
}
