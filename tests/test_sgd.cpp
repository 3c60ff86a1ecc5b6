#include "kernels/sgd.h"

#include "kernels/elementwise.h"
#include "tests/compare.h"

using namespace stopgrad;
using namespace stopgrad::test;

namespace {
const std::vector<int64_t> counts = {1, 7, 1003, 70001};
}

TEMPLATE_TEST_CASE("three steps of SGD give the golden weights", "[sgd]", float, double) {
  using T = TestType;
  cpu::Context context(1);
  std::vector<T> w = {1, -2, T(.5)}, m(3);
  const T rates[] = {T(.1), T(.05), T(.05)};
  for (int t = 1; t <= 3; ++t) {
    const std::vector<T> g = {T(.1 * t), T(.2 * t), T(-.3 * t)};
    run(SgdStep<T>{3, &rates[t - 1], T(.9), T(.01), g.data(), m.data(), w.data(), nullptr}, context);
  }
  const double printed = std::is_same_v<T, double> ? 5e-10 : 1e-6;
  CHECK(double(w[0]) == Approx(.944168672).margin(printed).epsilon(0));
  CHECK(double(w[1]) == Approx(-2.098450354).margin(printed).epsilon(0));
  CHECK(double(w[2]) == Approx(.65593322).margin(printed * 10).epsilon(0));
}

TEMPLATE_TEST_CASE("a step follows PyTorch's order of operations", "[sgd]", float, bf16, double) {
  using T = TestType;
  using A = Acc<T>;
  const A rate = A(.06), momentum = A(.9), decay = A(5e-4);
  for (const int64_t n : counts) {
    const auto g = random<A>(n, 1), m0 = random<A>(n, 2), w0 = random<A>(n, 3);
    std::vector<double> m_want(n), w_want(n);
    for (int64_t i = 0; i < n; ++i) {
      m_want[i] = double(momentum) * m0[i] + (g[i] + double(decay) * w0[i]);
      w_want[i] = w0[i] - double(rate) * m_want[i];
    }
    std::vector<A> m1, w1;
    for (const int threads : {1, 3}) {
      cpu::Context context(threads);
      auto m = m0, w = w0;
      std::vector<T> compute(n);
      run(SgdStep<T>{n, &rate, momentum, decay, g.data(), m.data(), w.data(), compute.data()}, context);
      check_close(m, m_want, {4, 1});
      check_close(w, w_want, {4, 1});

      std::vector<T> view(n);
      for (int64_t i = 0; i < n; ++i) view[i] = T(w[i]);
      CHECK(same_bits(compute, view));
      if (threads == 1) m1 = m, w1 = w;
      CHECK(same_bits(m, m1));
      CHECK(same_bits(w, w1));
    }
  }
}

TEST_CASE("without a view the step gives the same weights", "[sgd]") {
  cpu::Context context(2);
  const int64_t n = 70001;
  const auto g = random<float>(n, 4);
  const float rate = .1f;
  auto w = random<float>(n, 5), w_view = w;
  std::vector<float> m(n), m_view(n);
  std::vector<bf16> compute(n);
  run(SgdStep<bf16>{n, &rate, .9f, 0, g.data(), m.data(), w.data(), nullptr}, context);
  run(SgdStep<bf16>{n, &rate, .9f, 0, g.data(), m_view.data(), w_view.data(), compute.data()}, context);
  CHECK(same_bits(w, w_view));
  CHECK(same_bits(m, m_view));
  CHECK(same_bits(m, g));  // zero momentum and no decay: the first step moves along g itself
}

TEMPLATE_TEST_CASE("the moving average goes from all target to all source", "[sgd]", float, double) {
  using T = TestType;
  for (const int64_t n : counts) {
    const auto source = random<T>(n, 6), target = random<T>(n, 7);
    for (const int threads : {1, 3}) {
      cpu::Context context(threads);
      auto kept = target, copied = target, mixed = target;
      run(MovingAverage<T>{n, 1, source.data(), kept.data()}, context);
      run(MovingAverage<T>{n, 0, source.data(), copied.data()}, context);
      run(MovingAverage<T>{n, T(.99), source.data(), mixed.data()}, context);
      std::vector<double> want(n);
      for (int64_t i = 0; i < n; ++i) want[i] = double(T(.99)) * target[i] + (1 - double(T(.99))) * source[i];
      CHECK(same_bits(kept, target));
      CHECK(same_bits(copied, source));
      check_close(mixed, want, {2, 1});
    }
  }
}
