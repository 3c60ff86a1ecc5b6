// SwAV: codes behind a wall, prototypes of unit length, and a loss against published numbers.
#include "models/swav.h"

#include "tests/reference/sinkhorn.h"
#include "tests/small_run.h"
#include "tests/toy.h"

using namespace stopgrad;
using namespace stopgrad::test;

namespace {

struct SmallSwav {
  cpu::Context context{1};
  Pool pool{Device{.cpu = &context}, 1 << 20};
  Swav method;
  ParameterSlab slab;
  Tensor views;

  explicit SmallSwav(ViewForm form = ViewForm::batched, int views_per_image = 2,
                     DType activations = DType::f64)
      : method(config(form, views_per_image), {.prototypes = 7, .epsilon = 0.5}),
        slab(pool, activations, [&](Visitor& v) { method.visit(v); }) {
    pool.set_poison(true);
    slab.initialize(1);
    const Shape shape{views_per_image, 5, 2, 2, 3};
    visit_float(activations, [&](auto zero) {
      views = Tensor::of(pool, shape, random<decltype(zero)>(size_t(shape.count()), 17));
    });
  }
  static SimSiamConfig config(ViewForm form, int views) {
    SimSiamConfig c;
    c.encoder = toy_config().encoder;
    c.predictor = SimSiamConfig::Predictor::none;
    c.views = views;
    c.form = form;
    return c;
  }
  Parameter& prototypes() { return *slab.parameters().back(); }
  std::pair<double, std::vector<double>> loss_and_gradient() {
    slab.clear_gradients();
    Tape tape;
    const MethodOutput out = method.loss(tape, views);
    const double loss = out.loss.value.item();
    tape.backward(out.loss);
    slab.zero_missing_gradients();
    return {loss, slab.gradients.to_vector<double>()};
  }
};

}  // namespace

TEST_CASE("the loss of SwAV and its gradients are the golden ones", "[swav][golden]") {
  Bench bench;
  const auto tensor = [&](const Matrix& m) {
    return Tensor::of<double>(bench.pool(), {m.rows, m.channels}, m.at);
  };
  Tape tape;
  const Var z1 = tape.variable(tensor(golden_z1())), z2 = tape.variable(tensor(golden_z2())),
            c = tape.variable(tensor(golden_prototypes()));
  const Var u1 = l2_normalize(z1), u2 = l2_normalize(z2);
  const Var s1 = matmul_transposed(u1, c), s2 = matmul_transposed(u2, c);
  const Var p1 = scale(s1, 10), p2 = scale(s2, 10), w1 = detach(s1), w2 = detach(s2);
  const Var q1 = sinkhorn(w1, .05, 3), q2 = sinkhorn(w2, .05, 3);
  const Var loss = softmax_similarity({{p1, q2}, {p2, q1}});
  tape.backward(loss);
  const std::vector<double> dz = tape.gradient(z1).to_vector<double>(),
                            dc = tape.gradient(c).to_vector<double>();
  const double want_z[] = {-.18715272, -.35182003, .17889777, .81002601},
               want_c[] = {.39303895, 2.04702713, 2.26192864, .9462386};
  for (size_t j = 0; j < 4; ++j) {
    CHECK(dz[j] == Approx(want_z[j]).margin(6e-9));
    CHECK(dc[j] == Approx(want_c[j]).margin(6e-9));
  }
  CHECK(loss.value.item() == Approx(13.318033145568).margin(1e-11));
}

TEST_CASE("branch and batched SwAV agree, with two views and with three", "[swav]") {
  for (int views : {2, 3}) {
    SmallSwav branch(ViewForm::branch, views), batched(ViewForm::batched, views);
    const auto [a, da] = branch.loss_and_gradient();
    const auto [b, db] = batched.loss_and_gradient();
    CHECK(a == Approx(b).epsilon(1e-13));
    CHECK(distance(da, db) < 1e-12);
    CHECK(norm(da) > 1e-2);
  }
}

TEST_CASE("the gradient of SwAV is that of the loss with its codes frozen", "[swav][wall][gradient]") {
  SmallSwav swav(ViewForm::batched);
  const std::vector<double> analytic = swav.loss_and_gradient().second;
  Tape off(Tape::Mode::off);
  const MethodOutput start = swav.method.loss(off, swav.views);
  std::vector<Matrix> q;
  for (const Tensor& s : start.p) q.push_back(sinkhorn(matrix(5, 7, s.to_vector<double>()), .5, 3));
  const auto frozen = [&] {
    Tape tape(Tape::Mode::off);
    const MethodOutput out = swav.method.loss(tape, swav.views);
    double sum = 0;
    for (size_t i : {0, 1}) {
      Matrix logits = matrix(5, 7, out.p[i].to_vector<double>());
      for (double& v : logits.at) v /= .1;
      const Matrix log_p = log_softmax(logits);
      for (size_t k = 0; k < log_p.at.size(); ++k) sum -= q[1 - i].at[k] * log_p.at[k];
    }
    return sum / 10;
  };
  CHECK(frozen() == Approx(start.loss.value.item()).epsilon(1e-12));
  std::vector<double> numeric(analytic.size());
  double* const x = swav.slab.values.data<double>();
  for (size_t i = 0; i < numeric.size(); ++i) {
    const double keep = x[i], eps = 1e-6;
    x[i] = keep + eps;
    const double up = frozen();
    x[i] = keep - eps;
    numeric[i] = (up - frozen()) / (2 * eps);
    x[i] = keep;
  }
  CHECK(distance(analytic, numeric) < 1e-6);
}

TEST_CASE("no gradient passes the codes, and without a wall they are refused", "[swav][wall]") {
  SmallSwav swav(ViewForm::branch);
  Tape tape;
  const MethodOutput out = swav.method.loss(tape, swav.views);
  tape.backward(out.loss);
  int walls = 0, codes = 0;
  for (const TapeEntry& e : tape.entries()) {
    walls += e.wall;
    if (std::string(e.name) != "sinkhorn") continue;
    ++codes;
    CHECK_FALSE(e.got_grad);
    CHECK(tape.entries()[size_t(e.inputs[0])].wall);
  }
  CHECK(walls == 2);
  CHECK(codes == 2);
  Tape other;
  const Var s = other.variable(out.p[0]);
  CHECK_THROWS_WITH(sinkhorn(s, .05, 3), Catch::Contains("detach"));
}

TEST_CASE("the loss sees prototypes as unit vectors, and their gradient stands upright on them", "[swav]") {
  SmallSwav swav;
  const auto [before, gradient] = swav.loss_and_gradient();
  const std::vector<double> c = swav.prototypes().value.to_vector<double>(),
                            g = swav.prototypes().grad.to_vector<double>();
  for (size_t k = 0; k < 7; ++k) {
    double along = 0;
    for (size_t j = 0; j < 4; ++j) along += c[4 * k + j] * g[4 * k + j];
    CHECK(along == Approx(0).margin(1e-12));
  }
  CHECK(norm(g) > 1e-2);
  double* const x = swav.prototypes().value.data<double>();
  for (int j = 0; j < 4; ++j) x[j] *= 3;
  CHECK(swav.loss_and_gradient().first == Approx(before).epsilon(1e-13));
}

TEST_CASE("in bf16 the prototypes' gradient is float's, but for rounding", "[swav]") {
  SmallSwav half(ViewForm::batched, 2, DType::bf16), whole(ViewForm::batched, 2, DType::f32);
  std::vector<double> g[2];
  for (SmallSwav* swav : {&half, &whole}) {
    Tape tape;
    const MethodOutput out = swav->method.loss(tape, swav->views);
    tape.backward(out.loss);
    g[swav == &whole] = doubles(swav->prototypes().grad.to_vector<float>());
  }
  CHECK(norm(g[1]) > 1e-2);
  CHECK(distance(g[0], g[1]) < 0.2);
}

TEST_CASE("a run of SwAV starts near ln K, moves its prototypes after the frozen epochs only, and resumes",
          "[swav][trainer]") {
  Recipe recipe = small_recipe();  // four steps an epoch
  recipe.method = "swav";
  recipe.predictor = "none";
  recipe.prototypes = 64;
  recipe.temperature = 1;  // scores of random unit rows have variance 1/d, so ln K is near: 1/(2 d) above
  recipe.freeze_prototypes = 2;
  Model model(recipe, {8, 8, 3});
  Folder whole, parts;
  Trainer trainer(model, small_set(), nullptr, whole.path.string());
  const Parameter& c = *model.slab().parameters().back();
  const std::vector<float> start = c.value.to_vector<float>();
  TrainerEvents events;
  events.step = [&](const StepReport& r) {
    if (r.step == 0) CHECK(r.loss == Approx(std::log(64)).margin(0.2));
    if (r.step == 6) CHECK(c.value.to_vector<float>() == start);
    if (r.step == 9) CHECK(c.value.to_vector<float>() != start);
  };
  CHECK(trainer.run(events) == RunEnd::finished);
  {
    Model first(recipe, {8, 8, 3});
    Trainer half(first, small_set(), nullptr, parts.path.string());
    TrainerEvents stop;
    stop.stop = [&] { return half.step() == 9; };
    CHECK(half.run(stop) == RunEnd::stopped);
  }
  Model second(recipe, {8, 8, 3});
  Trainer rest(second, small_set(), nullptr, parts.path.string());
  rest.resume(latest_checkpoint(parts.path.string()));
  CHECK(rest.run({}) == RunEnd::finished);
  CHECK(state_of(model) == state_of(second));
  CHECK(metrics_of(whole.path) == metrics_of(parts.path));
}

TEST_CASE("a recipe of SwAV that asks for what it has not is refused", "[swav][recipe]") {
  Recipe recipe = small_recipe();
  recipe.method = "swav";
  CHECK_THROWS_WITH(check_recipe(recipe), Catch::Contains("predictor.kind") && Catch::Contains("none"));
  recipe.predictor = "none";
  check_recipe(recipe);
  recipe.symmetry = "asymmetric";
  CHECK_THROWS_WITH(check_recipe(recipe), Catch::Contains("method.symmetry"));
  recipe.symmetry = "symmetric";
  recipe.similarity = "cross_entropy";
  CHECK_THROWS_WITH(check_recipe(recipe), Catch::Contains("method.similarity"));
  recipe.similarity = "cosine";
  recipe.stop_gradient = false;
  CHECK_THROWS_WITH(check_recipe(recipe), Catch::Contains("method.stop_gradient"));
}
