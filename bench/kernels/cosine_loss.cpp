// The cosine loss and its gradients with respect to p; z lies behind the wall, as in SimSiam.
#include "kernels/cosine_loss.h"

#include "bench/kernels/pairs.h"

namespace stopgrad::bench {
namespace {

/// 1 / |p|, 1 / |z| and the cosine of each row.
std::vector<double> saved_of(const test::Matrix& p, const test::Matrix& z) {
  std::vector<double> saved;
  for (int r = 0; r < p.rows; ++r) {
    double pp = 0, zz = 0, pz = 0;
    for (int c = 0; c < p.channels; ++c)
      pp += p(r, c) * p(r, c), zz += z(r, c) * z(r, c), pz += p(r, c) * z(r, c);
    saved.insert(saved.end(), {1 / std::sqrt(pp), 1 / std::sqrt(zz), pz / std::sqrt(pp * zz)});
  }
  return saved;
}

template <class T>
struct Forward {
  Pairs<T> s;

  std::string op() const { return "cosine_loss_fwd"; }
  std::string shape() const { return s.name(); }
  CosineLossForward<T> make(Arena& a) const {
    CosineLossForward<T> call{s.pairs, s.rows, s.channels, {}, {}, nullptr, nullptr};
    s.place(a, call);
    call.loss = a.output<Acc<T>>(1);
    call.saved = a.output<Acc<T>>(int64_t{3} * s.pairs * s.rows);
    return call;
  }
  void check(const CosineLossForward<T>& before, const CosineLossForward<T>& after, Comparison& c) const {
    double loss = 0;
    for (int k = 0; k < s.pairs; ++k) {
      const test::Matrix p = s.matrix(before.p[k]), z = s.matrix(before.z[k]);
      loss += test::negative_cosine(p, z) / s.pairs;
      const std::vector<double> saved = saved_of(p, z);
      c.close(
          "saved", after.saved + int64_t{3} * k * s.rows, int64_t{3} * s.rows,
          [&](int64_t i) { return saved[i]; }, test::Tolerance<Acc<T>>{double(s.channels), 2});
    }
    c.close(
        "loss", after.loss, 1, [&](int64_t) { return loss; }, test::Tolerance<Acc<T>>{double(s.channels), 1});
  }
};

template <class T>
struct Backward {
  Pairs<T> s;

  std::string op() const { return "cosine_loss_bwd"; }
  std::string shape() const { return s.name(); }
  CosineLossBackward<T> make(Arena& a) const {
    CosineLossBackward<T> call{s.pairs, s.rows, s.channels, {}, {}, nullptr, nullptr, {}, {}, {}, {}};
    s.place(a, call);
    auto* const saved = a.output<Acc<T>>(int64_t{3} * s.pairs * s.rows);
    for (int k = 0; a.fills() && k < s.pairs; ++k) {
      const std::vector<double> row = saved_of(s.matrix(call.p[k]), s.matrix(call.z[k]));
      std::copy(row.begin(), row.end(), saved + int64_t{3} * k * s.rows);
    }
    call.saved = saved;
    call.dloss = a.make<Acc<T>>(1, [](int64_t) { return 0.5f; });
    for (int k = 0; k < s.pairs; ++k) call.dp[k] = a.output<T>(s.count());
    return call;
  }
  void check(const CosineLossBackward<T>& before, const CosineLossBackward<T>& after, Comparison& c) const {
    for (int k = 0; k < s.pairs; ++k) {
      const test::Matrix want = test::negative_cosine_gradient(s.matrix(before.p[k]), s.matrix(before.z[k]));
      c.close(
          "dp", after.dp[k], s.count(), [&](int64_t i) { return 0.5 / s.pairs * want.at[i]; },
          test::Tolerance<T>{double(s.channels), 1.0 / s.rows});
    }
  }
};

template <class T>
void add(Registry& registry) {
  for (const test::MatrixCase& shape : registry.heads)
    for (const int pairs : {1, 2}) {
      const Pairs<T> s{pairs, shape.rows, shape.channels};
      const bool quick = shape.rows == 512 && shape.channels == 2048 && pairs == 2;
      registry.add<T>(Forward<T>{s}, quick);
      registry.add<T>(Backward<T>{s}, quick);
    }
}

}  // namespace

void add_cosine_loss(Registry& registry) {
  add<float>(registry);
  add<bf16>(registry);
}

}  // namespace stopgrad::bench
