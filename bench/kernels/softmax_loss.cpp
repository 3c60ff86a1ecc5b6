// Cross entropy and the softmax similarity against the reference.
#include "kernels/softmax_loss.h"

#include "bench/kernels/pairs.h"

namespace stopgrad::bench {
namespace {

template <class T>
struct Logits {
  int rows, classes;
  bool contrastive = false;  // each row leaves a class out, as NT-Xent does
  std::string shape() const {
    return fmt::format("r{}_c{}{}", rows, classes, contrastive ? "_left_out" : "");
  }
  int64_t count() const { return int64_t{rows} * classes; }
  const int32_t* labels(Arena& a) const {
    return a.make<int32_t>(rows, [this](int64_t i) { return int32_t(i * 7 % classes); });
  }
  const int32_t* left_out(Arena& a) const {
    if (!contrastive) return nullptr;
    return a.make<int32_t>(2 * rows, [this](int64_t i) { return int32_t((i / 2 % classes) + i % 2); });
  }
  test::Matrix matrix(const T* x) const { return Pairs<T>{1, rows, classes}.matrix(x); }
};

template <class T>
struct EntropyForward : Logits<T> {
  std::string op() const { return "cross_entropy_fwd"; }
  CrossEntropyForward<T> make(Arena& a) const {
    return {this->rows,       this->classes,       a.random<T>(this->count(), 1, -3, 3),
            this->labels(a),  a.output<Acc<T>>(1), a.output<Acc<T>>(this->count()),
            this->left_out(a)};
  }
  void check(const CrossEntropyForward<T>& before, const CrossEntropyForward<T>& after, Comparison& c) const {
    test::Matrix logits = this->matrix(before.logits);
    for (int r = 0; before.left_out && r < this->rows; ++r)
      if (const int skip = before.left_out[2 * r]; skip != before.labels[r]) logits(r, skip) = -INFINITY;
    const test::Matrix log_q = test::log_softmax(logits);
    double loss = 0;
    for (int r = 0; r < this->rows; ++r) loss -= log_q(r, before.labels[r]) / this->rows;
    const test::Tolerance<Acc<T>> tolerance{double(this->classes), 1};
    c.close(
        "loss", after.loss, 1, [&](int64_t) { return loss; }, tolerance);
    c.close(
        "probability", after.probability, this->count(), [&](int64_t i) { return std::exp(log_q.at[i]); },
        tolerance);
  }
};

template <class T>
struct EntropyBackward : Logits<T> {
  std::string op() const { return "cross_entropy_bwd"; }
  CrossEntropyBackward<T> make(Arena& a) const {
    return {this->rows,
            this->classes,
            this->labels(a),
            a.random<Acc<T>>(this->count(), 1, 0, 1),
            a.make<Acc<T>>(1, [](int64_t) { return 0.5f; }),
            a.output<T>(this->count()),
            false};
  }
  void check(const CrossEntropyBackward<T>& before, const CrossEntropyBackward<T>& after,
             Comparison& c) const {
    const auto want = [&](int64_t i) {
      const bool own = before.labels[i / this->classes] == i % this->classes;
      return 0.5 / this->rows * (double(before.probability[i]) - own);
    };
    c.close("dlogits", after.dlogits, this->count(), want, test::Tolerance<T>{1, 1.0 / this->rows});
  }
};

/// log-sum-exp of p, of z, and the sum of softmax(z) log softmax(p), for each row.
std::vector<double> saved_of(const test::Matrix& p, const test::Matrix& z) {
  const test::Matrix log_p = test::log_softmax(p), q = test::softmax(z), log_z = test::log_softmax(z);
  std::vector<double> saved;
  for (int r = 0; r < p.rows; ++r) {
    double sum = 0;
    for (int k = 0; k < p.channels; ++k) sum += q(r, k) * log_p(r, k);
    saved.insert(saved.end(), {p(r, 0) - log_p(r, 0), z(r, 0) - log_z(r, 0), sum});
  }
  return saved;
}

template <class T>
struct SimilarityForward {
  Pairs<T> s;

  std::string op() const { return "softmax_similarity_fwd"; }
  std::string shape() const { return s.name(); }
  SoftmaxSimilarityForward<T> make(Arena& a) const {
    SoftmaxSimilarityForward<T> call{s.pairs, s.rows, s.channels, {}, {}, nullptr, nullptr};
    s.place(a, call);
    call.loss = a.output<Acc<T>>(1);
    call.saved = a.output<Acc<T>>(int64_t{3} * s.pairs * s.rows);
    return call;
  }
  void check(const SoftmaxSimilarityForward<T>& before, const SoftmaxSimilarityForward<T>& after,
             Comparison& c) const {
    const double n = s.channels;
    double loss = 0;
    for (int k = 0; k < s.pairs; ++k) {
      const test::Matrix p = s.matrix(before.p[k]), z = s.matrix(before.z[k]);
      const std::vector<double> saved = saved_of(p, z);
      for (int r = 0; r < s.rows; ++r) loss -= saved[3 * r + 2] / s.pairs / s.rows;
      c.close(
          "saved", after.saved + int64_t{3} * k * s.rows, int64_t{3} * s.rows,
          [&](int64_t i) { return saved[i]; }, test::Tolerance<Acc<T>>{n, 2});
    }
    c.close(
        "loss", after.loss, 1, [&](int64_t) { return loss; }, test::Tolerance<Acc<T>>{n, 1});
  }
};

template <class T>
struct SimilarityBackward {
  Pairs<T> s;

  std::string op() const { return "softmax_similarity_bwd"; }
  std::string shape() const { return s.name(); }
  SoftmaxSimilarityBackward<T> make(Arena& a) const {
    SoftmaxSimilarityBackward<T> call{s.pairs, s.rows, s.channels, {}, {}, nullptr, nullptr, {}, {}, {}, {}};
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
  void check(const SoftmaxSimilarityBackward<T>& before, const SoftmaxSimilarityBackward<T>& after,
             Comparison& c) const {
    for (int k = 0; k < s.pairs; ++k) {
      const test::Matrix p = test::softmax(s.matrix(before.p[k])), z = test::softmax(s.matrix(before.z[k]));
      c.close(
          "dp", after.dp[k], s.count(),
          [&](int64_t i) { return 0.5 / s.pairs / s.rows * (p.at[i] - z.at[i]); },
          test::Tolerance<T>{double(s.channels), 1.0 / s.rows});
    }
  }
};

template <class T>
void add(Registry& registry) {
  for (const test::MatrixCase& shape : registry.heads) {
    const bool quick = shape.rows == 512 && shape.channels == 2048;
    registry.add<T>(EntropyForward<T>{{shape.rows, shape.channels}}, false);
    registry.add<T>(EntropyForward<T>{{shape.rows, shape.channels, true}}, false);
    registry.add<T>(EntropyBackward<T>{{shape.rows, shape.channels}}, false);
    const Pairs<T> pairs{2, shape.rows, shape.channels};
    registry.add<T>(SimilarityForward<T>{pairs}, quick);
    registry.add<T>(SimilarityBackward<T>{pairs}, quick);
  }
}

}  // namespace

void add_softmax_loss(Registry& registry) {
  add<float>(registry);
  add<bf16>(registry);
}

}  // namespace stopgrad::bench
