#include "engine/optimizer.h"
#include "tests/compare.h"
#include "tests/lars_slab.h"

using namespace stopgrad;
using namespace stopgrad::test;

TEMPLATE_TEST_CASE("three steps of LARS give the golden weights", "[lars]", float, double) {
  using T = TestType;
  cpu::Context context(1);
  const std::vector<LarsChunk> chunks = lars_chunks({{3}});
  std::vector<T> w(64), m(64), g(64);
  w[0] = 1, w[1] = -2, w[2] = T(.5);
  const T rates[] = {T(.1), T(.05), T(.05)};
  for (int t = 1; t <= 3; ++t) {
    g[0] = T(.1 * t), g[1] = T(.2 * t), g[2] = T(-.3 * t);
    run(LarsStep<T>{1, chunks.data(), &rates[t - 1], T(.9), T(.01), T(.001), g.data(), m.data(), w.data(),
                    nullptr},
        context);
  }
  const double printed = std::is_same_v<T, double> ? 5e-10 : 5e-7;
  CHECK(double(w[0]) == Approx(.999717618).margin(printed).epsilon(0));
  CHECK(double(w[1]) == Approx(-2.000480329).margin(printed).epsilon(0));
  CHECK(double(w[2]) == Approx(.500773264).margin(printed).epsilon(0));
}

TEMPLATE_TEST_CASE("a step of LARS follows the definition for every parameter", "[lars]", float, bf16,
                   double) {
  using T = TestType;
  // More than a chunk, whole chunks, biases beside weights, a weight of zeros, one whose gradient is zero.
  LarsSlab<T> start({{3 * LarsChunk::kMost + 100}, {7, false}, {LarsChunk::kMost}, {64}, {1}, {200, false}});
  const auto zeros = [&](auto& x, size_t chunk) {
    const LarsChunk& c = start.chunks[chunk];
    std::fill_n(x.begin() + c.begin, c.count, Acc<T>(0));
  };
  zeros(start.value, 6);
  zeros(start.gradient, 7);
  zeros(start.value, 7);
  const auto [m, w] = lars_step(start, start.call());
  LarsSlab<T> one = start, three = start, no_view = start;
  cpu::Context alone(1), team(3);
  run(one.call(), alone);
  run(three.call(), team);
  run(no_view.call(false), team);
  check_close(one.momentum, m, {4, 1});
  check_close(one.value, w, {4, 1});
  std::vector<T> view(one.size);
  for (size_t i = 0; i < view.size(); ++i) view[i] = T(one.value[i]);
  CHECK(same_bits(one.compute, view));
  CHECK((same_bits(one.value, three.value) && same_bits(one.momentum, three.momentum)));
  CHECK((same_bits(one.value, no_view.value) && same_bits(one.compute, three.compute)));
}

TEST_CASE("the step of LARS does not see the size of the gradient, but for biases", "[lars]") {
  LarsSlab<double> small({{100}, {10, false}}), large = small;
  for (double& g : large.gradient) g *= 1024;
  cpu::Context context(1);
  for (LarsSlab<double>* slab : {&small, &large}) {
    std::fill(slab->momentum.begin(), slab->momentum.end(), 0.0);
    LarsStep<double> call = slab->call();
    call.decay = 0;
    run(call, context);
  }
  for (size_t i = 0; i < 100; ++i) CHECK(small.momentum[i] == Approx(large.momentum[i]));
  for (size_t i = 128; i < 138; ++i) CHECK(1024 * small.momentum[i] == Approx(large.momentum[i]));
}

TEST_CASE("the optimizer adapts weights, leaves biases and keeps to each parameter's rate",
          "[lars][optimizer]") {
  cpu::Context context(1);
  const Pool pool(Device{.cpu = &context});
  Parameter frozen{.shape = {5, 3}}, weight{.shape = {300, 40}}, bias{.shape = {40}}, fixed{.shape = {40, 2}};
  for (Parameter* p : {&frozen, &weight, &bias, &fixed}) p->init = {Init::normal, 1};
  frozen.trainable = false;
  fixed.fixed_rate = true;
  ParameterSlab slab(pool, DType::f64, [&](Visitor& v) {
    v.parameter("frozen", frozen);
    v.parameter("weight", weight);
    v.parameter("bias", bias);
    v.parameter("fixed", fixed);
  });
  slab.initialize(1);
  std::vector<std::vector<double>> want;
  for (Parameter* p : {&frozen, &weight, &bias, &fixed}) {
    std::vector<double> w = p->value.to_vector<double>(), g = random<double>(w.size(), 5);
    p->grad.from_host(g.data());
    double of_w = 0, of_g = 0;
    for (size_t i = 0; i < w.size(); ++i) {
      if (p != &bias) g[i] += 0.01 * w[i];
      of_w += w[i] * w[i], of_g += g[i] * g[i];
    }
    const double rate = (p == &fixed ? 2 : 0.5) * (p == &bias ? 1 : 0.1 * std::sqrt(of_w / of_g));
    for (size_t i = 0; i < w.size() && p != &frozen; ++i) w[i] -= rate * g[i];
    want.push_back(w);
  }
  for (Parameter* p : slab.parameters()) p->has_grad = true;
  Lars(slab, 0.9, 0.01, 0.1).step(0.5, 2);
  for (size_t i = 0; i < want.size(); ++i) {
    INFO(slab.parameters()[i]->name);
    check_close(slab.parameters()[i]->value.to_vector<double>(), want[i], {4, 1});
  }
}
