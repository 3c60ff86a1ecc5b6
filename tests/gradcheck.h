#pragma once
// Central differences in double, at eps 1e-6: per tensor |analytic - numeric| / max(|analytic|, |numeric|) <
// 1e-6.
#include <catch2/catch.hpp>

#include <cmath>
#include <functional>
#include <list>

#include "engine/ops.h"
#include "tests/compare.h"

namespace stopgrad::test {

/// One thread, a pool that fills new memory with NaN, and parameters of type double.
class Bench {
 public:
  Bench() : context_(1), pool_(Device{.cpu = &context_}, 1 << 20) { pool_.set_poison(true); }
  Pool pool() const { return pool_; }

  /// A parameter with random values in [low, high).
  Parameter& parameter(const std::string& name, Shape shape, double low = -1, double high = 1) {
    Parameter& p = parameters_.emplace_back();
    p.shape = shape;
    p.name = name;
    p.value = Tensor::of(pool_, shape,
                         random<double>(static_cast<size_t>(shape.count()), parameters_.size(), low, high));
    p.compute = p.value;
    p.grad = like(p.value);
    return p;
  }
  std::list<Parameter>& parameters() { return parameters_; }

 private:
  cpu::Context context_;
  Pool pool_;
  std::list<Parameter> parameters_;
};

/// A number from a tensor of any shape: the sum of y * weights with fixed random weights.
inline Var weigh(const Var& y, uint64_t seed = 99) {
  struct WeighNode : Node {
    std::vector<double> weights;
    const char* name() const override { return "weigh"; }
    void backward(const Tensor& dy, Grads& grads) override {
      const auto dx = grads.slot<double>(0);
      const double factor = dy.item();
      for (size_t i = 0; i < weights.size(); ++i)
        dx.data[i] = factor * weights[i] + (dx.accumulate ? dx.data[i] : 0);
    }
  };
  auto node = std::make_unique<WeighNode>();
  node->weights = random<double>(static_cast<size_t>(y.value.count()), seed);
  double sum = 0;
  for (size_t i = 0; i < node->weights.size(); ++i) sum += node->weights[i] * y.value.data<double>()[i];
  const Tensor out = Tensor::of<double>(y.value.pool(), {}, {sum});
  return y.tape->record(out, std::move(node), {y});
}

using Loss = std::function<Var(Tape&)>;

inline std::vector<double> numeric_gradient(Parameter& p, const Loss& loss, double eps = 1e-6) {
  auto value = [&] {
    Tape tape(Tape::Mode::off);
    return loss(tape).value.item();
  };
  std::vector<double> out(static_cast<size_t>(p.shape.count()));
  double* x = p.value.data<double>();
  for (size_t i = 0; i < out.size(); ++i) {
    const double keep = x[i];
    x[i] = keep + eps;
    const double up = value();
    x[i] = keep - eps;
    const double down = value();
    x[i] = keep;
    out[i] = (up - down) / (2 * eps);
  }
  return out;
}

/// Runs forward and backward; gradients lie in the parameters.
inline void analytic_gradients(std::list<Parameter>& parameters, const Loss& loss) {
  for (Parameter& p : parameters) p.has_grad = false;
  Tape tape;
  const Var value = loss(tape);
  tape.backward(value);
  for (Parameter& p : parameters)
    if (!p.has_grad) p.grad.fill_zero();
}

inline double norm(const std::vector<double>& x) {
  double s = 0;
  for (double v : x) s += v * v;
  return std::sqrt(s);
}

/// |a - b| / max(|a|, |b|)
inline double distance(const std::vector<double>& a, const std::vector<double>& b) {
  std::vector<double> d(a.size());
  for (size_t i = 0; i < d.size(); ++i) d[i] = a[i] - b[i];
  return norm(d) / std::max(norm(a), norm(b));
}

/// The whole check; every gradient must be large enough to mean something, or zero by theory.
inline void check_gradients(std::list<Parameter>& parameters, const Loss& loss,
                            const std::vector<std::string>& zero_by_theory = {}) {
  analytic_gradients(parameters, loss);
  for (Parameter& p : parameters) {
    const std::vector<double> analytic = p.grad.to_vector<double>(), numeric = numeric_gradient(p, loss);
    INFO("gradient of " << p.name << ", |analytic| " << norm(analytic) << ", |numeric| " << norm(numeric));
    if (std::find(zero_by_theory.begin(), zero_by_theory.end(), p.name) != zero_by_theory.end()) {
      CHECK(norm(analytic) < 1e-9);
      continue;
    }
    CHECK(norm(analytic) > 1e-2);
    CHECK(distance(analytic, numeric) < 1e-6);
  }
}

}  // namespace stopgrad::test
