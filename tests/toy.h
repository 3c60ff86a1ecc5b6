#pragma once
// A SimSiam small enough for central differences: an MLP or a tiny residual net, in double.
#include "models/simsiam.h"
#include "tests/gradcheck.h"

namespace stopgrad::test {

inline SimSiamConfig toy_config(bool residual = false) {
  SimSiamConfig c;
  c.encoder.mlp_backbone = !residual;
  c.encoder.mlp_widths = {12, 6};
  c.encoder.resnet.widths = {2, 3};
  c.encoder.resnet.blocks = {1, 1};
  c.encoder.resnet.zero_gamma = false;  // a gamma of 0 hides the branch behind it
  c.encoder.projector = {5, 4};
  c.predictor_hidden = 3;
  return c;
}

struct Toy {
  cpu::Context context{1};
  Pool pool{Device{.cpu = &context}, 1 << 20};
  std::unique_ptr<SimSiam> owned;
  SimSiam& method;
  ParameterSlab slab;
  Tensor views;  // [V, 5, 2, 2, 3]

  explicit Toy(const SimSiamConfig& config, uint64_t seed = 1)
      : Toy(std::make_unique<SimSiam>(config), seed) {}
  explicit Toy(std::unique_ptr<SimSiam> any, uint64_t seed = 1)
      : owned(std::move(any)), method(*owned), slab(pool, DType::f64, [&](Visitor& v) { method.visit(v); }) {
    pool.set_poison(true);
    slab.initialize(seed);
    method.after_initialize();
    const Shape shape{method.views(), 5, 2, 2, 3};
    views = Tensor::of(pool, shape, random<double>(static_cast<size_t>(shape.count()), 17));
  }

  /// Gradients of all parameters, one after the other.
  std::vector<double> gradient() { return gradient_of(views); }
  std::vector<double> gradient_of(const Tensor& images) {
    slab.clear_gradients();
    Tape tape;
    const MethodOutput out = method.loss(tape, images);
    tape.backward(out.loss);
    slab.zero_missing_gradients();
    return all_gradients();
  }
  std::vector<double> all_gradients() const {
    std::vector<double> out;
    for (const Parameter* p : slab.parameters())
      if (p->trainable) {
        const std::vector<double> g = p->grad.to_vector<double>();
        out.insert(out.end(), g.begin(), g.end());
      }
    return out;
  }
  /// Central differences of any function of the parameters.
  std::vector<double> differences(const std::function<double()>& loss) const {
    std::vector<double> out;
    constexpr double eps = 1e-6;
    for (const Parameter* p : slab.parameters()) {
      if (!p->trainable) continue;
      double* x = p->value.data<double>();
      for (int64_t i = 0; i < p->shape.count(); ++i) {
        const double keep = x[i];
        x[i] = keep + eps;
        const double up = loss();
        x[i] = keep - eps;
        const double down = loss();
        x[i] = keep;
        out.push_back((up - down) / (2 * eps));
      }
    }
    return out;
  }
  double loss() {
    Tape tape(Tape::Mode::off);
    return method.loss(tape, views).loss.value.item();
  }
  MethodOutput forward() {
    Tape tape(Tape::Mode::off);
    return method.loss(tape, views);
  }
};

/// -cosine of two rows, averaged: the loss written a second time, in the plainest way.
inline double plain_cosine_loss(const Tensor& p, const std::vector<double>& z) {
  const std::vector<double> a = p.to_vector<double>();
  const auto d = static_cast<size_t>(p.channels());
  double total = 0;
  for (size_t r = 0; r < a.size(); r += d) {
    double ab = 0, aa = 0, bb = 0;
    for (size_t i = r; i < r + d; ++i) {
      ab += a[i] * z[i];
      aa += a[i] * a[i];
      bb += z[i] * z[i];
    }
    total -= ab / std::sqrt(aa * bb);
  }
  return total / static_cast<double>(p.rows());
}

}  // namespace stopgrad::test
