#include "kernels/softmax_loss.h"

#include "tests/cases.h"
#include "tests/compare.h"
#include "tests/reference/rows.h"

using namespace stopgrad;
using namespace stopgrad::test;

namespace {

template <class T>
struct CrossEntropy {
  int rows, classes;
  std::vector<T> logits;
  std::vector<int32_t> labels;
  int threads = 2;
  std::vector<Acc<T>> probability = {};
  Acc<T> dloss = 1;
  std::vector<int32_t> left_out = {};

  Acc<T> forward() {
    cpu::Context context(threads);
    Acc<T> loss = NAN;
    probability.assign(logits.size(), NAN);
    run(CrossEntropyForward<T>{rows, classes, logits.data(), labels.data(), &loss, probability.data(),
                               left_out.empty() ? nullptr : left_out.data()},
        context);
    return loss;
  }
  std::vector<T> backward(const std::vector<T>* old = nullptr) {
    cpu::Context context(threads);
    std::vector<T> dlogits = old ? *old : std::vector<T>(logits.size(), from_double<T>(NAN));
    run(CrossEntropyBackward<T>{rows, classes, labels.data(), probability.data(), &dloss, dlogits.data(),
                                old != nullptr},
        context);
    return dlogits;
  }
};

std::vector<int32_t> some_labels(int rows, int classes) {
  std::vector<int32_t> labels(rows);
  for (int r = 0; r < rows; ++r) labels[r] = (7 * r + 3) % classes;
  return labels;
}

/// Similarity over any number of pairs; null in dp or dz: that side is behind a wall.
template <class T>
struct Similarity {
  int rows, channels;
  std::vector<std::vector<T>> p, z;
  int threads = 2;
  std::vector<Acc<T>> saved = {};
  Acc<T> dloss = 1;

  Acc<T> forward() {
    cpu::Context context(threads);
    Acc<T> loss = NAN;
    saved.assign(3 * p.size() * rows, NAN);
    SoftmaxSimilarityForward<T> call = {pairs(), rows, channels, {}, {}, &loss, saved.data()};
    for (int k = 0; k < pairs(); ++k) call.p[k] = p[k].data(), call.z[k] = z[k].data();
    run(call, context);
    return loss;
  }
  void backward(std::vector<T*> dp, std::vector<T*> dz, bool accumulate = false) {
    cpu::Context context(threads);
    SoftmaxSimilarityBackward<T> call = {pairs(), rows, channels, {}, {}, saved.data(),
                                         &dloss,  {},   {},       {}, {}};
    for (int k = 0; k < pairs(); ++k) {
      call.p[k] = p[k].data(), call.z[k] = z[k].data();
      call.dp[k] = dp[k], call.dz[k] = dz[k];
      call.accumulate_dp[k] = call.accumulate_dz[k] = accumulate;
    }
    run(call, context);
  }
  std::vector<T> empty() const { return std::vector<T>(p[0].size(), from_double<T>(NAN)); }
  int pairs() const { return static_cast<int>(p.size()); }
};

template <class T>
bool all_finite(const std::vector<T>& x) {
  return std::all_of(x.begin(), x.end(), [](T v) { return std::isfinite(to_double(v)); });
}

}  // namespace

TEMPLATE_TEST_CASE("cross entropy and its gradient follow the definition over all shapes", "[softmax_loss]",
                   float, bf16, double) {
  using T = TestType;
  for (const MatrixCase& c : matrix_cases()) {
    if (c.real) continue;
    INFO(c.name);
    const auto x = random<T>(size_t(c.rows) * c.channels, 1, -3, 3),
               old = random<T>(x.size(), 2, 0, 1.0 / c.rows);
    CrossEntropy<T> loss = {c.rows, c.channels, x, some_labels(c.rows, c.channels)};
    loss.dloss = Acc<T>(0.5);
    const Matrix wide = matrix(c.rows, c.channels, x), log_q = log_softmax(wide);
    double want = 0;
    std::vector<double> gradient = softmax(wide).at, sum(x.size());
    for (int r = 0; r < c.rows; ++r) {
      want -= log_q(r, loss.labels[r]) / c.rows;
      gradient[r * c.channels + loss.labels[r]] -= 1;
    }
    for (size_t i = 0; i < x.size(); ++i) {
      gradient[i] *= 0.5 / c.rows;
      sum[i] = gradient[i] + to_double(old[i]);
    }
    const Tolerance<T> tolerance = {double(c.channels), 1.0 / c.rows};
    check_close<Acc<T>>({loss.forward()}, {want}, {double(c.channels), 1});
    check_close(loss.backward(), gradient, tolerance);
    check_close(loss.backward(&old), sum, tolerance);
  }
}

TEST_CASE("cross entropy agrees with central differences", "[softmax_loss]") {
  const auto x = random<double>(5 * 6, 3, -2, 2);
  CrossEntropy<double> loss = {5, 6, x, some_labels(5, 6)};
  loss.forward();
  const auto dx = loss.backward();
  const auto numeric = numeric_gradient(matrix(5, 6, x), [&](const Matrix& moved) {
    return CrossEntropy<double>{5, 6, moved.at, loss.labels}.forward();
  });
  CHECK(relative_error(dx, numeric.at) < 1e-8);
}

TEMPLATE_TEST_CASE("classes that are left out count as if they were not there", "[softmax_loss]", float, bf16,
                   double) {
  using T = TestType;
  for (const MatrixCase& c : matrix_cases()) {
    if (c.real) continue;
    INFO(c.name);
    const auto x = random<T>(size_t(c.rows) * c.channels, 1, -3, 3);
    CrossEntropy<T> loss = {c.rows, c.channels, x, some_labels(c.rows, c.channels)};
    loss.left_out = some_ranges(c.rows, c.channels);
    const Matrix log_q = log_softmax(without(matrix(c.rows, c.channels, x), loss.labels, loss.left_out));
    double want = 0;
    std::vector<double> probability;
    for (int r = 0; r < c.rows; ++r) want -= log_q(r, loss.labels[r]) / c.rows;
    for (const double v : log_q.at) probability.push_back(std::exp(v));
    check_close<Acc<T>>({loss.forward()}, {want}, {double(c.channels), 1});
    check_close<Acc<T>>(loss.probability, probability, {double(c.channels), 1});
    int stray = 0;
    for (size_t i = 0; i < x.size(); ++i) stray += probability[i] == 0 && loss.probability[i] != 0;
    CHECK(stray == 0);
  }
}

TEST_CASE("a class that is left out may be as large as it likes", "[softmax_loss]") {
  CrossEntropy<float> loss = {1, 4, {-1e4f, 1e30f, -1e4f, -1e4f}, {0}};
  loss.left_out = {1, 2};
  CHECK(loss.forward() == Approx(std::log(3)));
  CHECK(loss.probability[1] == 0);
  loss.left_out = {0, 4};  // nothing but the label is left
  CHECK(loss.forward() == 0);
  loss.left_out = {1, 5};
  CHECK_THROWS_WITH(loss.forward(), Catch::Contains("row 0 leaves out classes [1, 5) of 4"));
}

TEST_CASE("equal logits cost the logarithm of the number of classes", "[softmax_loss]") {
  CrossEntropy<double> loss = {3, 2048, std::vector<double>(3 * 2048, 0.7), some_labels(3, 2048)};
  CHECK(loss.forward() == Approx(7.624618986159398).epsilon(1e-14));
}

TEST_CASE("a label outside the classes is an error that names it", "[softmax_loss]") {
  for (const int bad : {-1, 10}) {
    CrossEntropy<float> loss = {4, 10, std::vector<float>(40), {0, 9, bad, 1}};
    CHECK_THROWS_WITH(loss.forward(), Catch::Contains("label " + std::to_string(bad) + " of row 2"));
  }
}

TEMPLATE_TEST_CASE("logits of ten thousand stay finite", "[softmax_loss]", float, bf16, double) {
  using T = TestType;
  const int rows = 4, channels = 50;
  auto x = random<T>(rows * channels, 4, -1e4, 1e4), y = random<T>(rows * channels, 5, -1e4, 1e4);
  x[0] = y[1] = from_double<T>(1e4);
  x[1] = y[0] = from_double<T>(-1e4);
  CrossEntropy<T> entropy = {rows, channels, x, {1, 0, 3, 4}};
  CHECK(std::isfinite(entropy.forward()));
  CHECK(all_finite(entropy.backward()));
  Similarity<T> loss = {rows, channels, {x}, {y}};
  const Acc<T> value = loss.forward();
  check_close<Acc<T>>({value}, {softmax_similarity(matrix(rows, channels, x), matrix(rows, channels, y))},
                      {double(channels), 1e4});
  auto dp = loss.empty(), dz = loss.empty();
  loss.backward({dp.data()}, {dz.data()});
  CHECK(all_finite(dp));
  CHECK(all_finite(dz));
}

TEMPLATE_TEST_CASE("the similarity and its gradient are the golden ones", "[softmax_loss]", float, double) {
  using T = TestType;
  const bool exact = std::is_same_v<T, double>;
  const double value = exact ? 5e-13 : 2e-6, entry = exact ? 5.01e-9 : 1e-6;
  Similarity<T> one = {3, 4, {as<T>(golden_p1())}, {as<T>(golden_z2())}};
  CHECK(one.forward() == Approx(1.615259784713).margin(value).epsilon(0));
  Similarity<T> loss = {3, 4, {one.p[0], as<T>(golden_p2())}, {one.z[0], as<T>(golden_z1())}};
  CHECK(loss.forward() == Approx(1.620383774707).margin(value).epsilon(0));
  auto dp1 = loss.empty();
  loss.backward({dp1.data(), nullptr}, {nullptr, nullptr});
  const double want[] = {.01188108, .00276831, -.012461, -.00218839};
  for (int c = 0; c < 4; ++c) CHECK(double(dp1[c]) == Approx(want[c]).margin(entry).epsilon(0));
}

TEMPLATE_TEST_CASE("the similarity follows the definition over all shapes", "[softmax_loss]", float, bf16,
                   double) {
  using T = TestType;
  for (const MatrixCase& c : matrix_cases()) {
    if (c.real) continue;
    INFO(c.name);
    const size_t n = size_t(c.rows) * c.channels;
    Similarity<T> loss = {c.rows,
                          c.channels,
                          {random<T>(n, 6, -2, 2), random<T>(n, 7, -2, 2)},
                          {random<T>(n, 8, -2, 2), random<T>(n, 9, -2, 2)}};
    loss.dloss = Acc<T>(0.5);
    Matrix p[2], z[2];
    for (int k = 0; k < 2; ++k)
      p[k] = matrix(c.rows, c.channels, loss.p[k]), z[k] = matrix(c.rows, c.channels, loss.z[k]);
    const double want = (softmax_similarity(p[0], z[0]) + softmax_similarity(p[1], z[1])) / 2;
    const double scale = 4 + std::log(c.channels);  // |log softmax| is no larger
    check_close<Acc<T>>({loss.forward()}, {want}, {double(c.channels), scale});

    const auto old = random<T>(n, 10, 0.0, 1.0 / c.rows);
    for (int k = 0; k < 2; ++k) {
      const Matrix q = softmax(p[k]), s = softmax(z[k]), log_q = log_softmax(p[k]);
      std::vector<double> want_p(n), want_z(n);
      for (int r = 0; r < c.rows; ++r) {
        double mean = 0;
        for (int j = 0; j < c.channels; ++j) mean += s(r, j) * log_q(r, j);
        for (int j = 0; j < c.channels; ++j) {
          const size_t i = size_t(r) * c.channels + j;
          want_p[i] = to_double(old[i]) + 0.25 / c.rows * (q(r, j) - s(r, j));
          want_z[i] = to_double(old[i]) - 0.25 / c.rows * s(r, j) * (log_q(r, j) - mean);
        }
      }
      std::vector<T*> to_p(2), to_z(2);
      auto got_p = old, got_z = old;
      to_p[k] = got_p.data(), to_z[k] = got_z.data();
      loss.backward(to_p, to_z, true);
      check_close(got_p, want_p, {double(c.channels), 1.0 / c.rows});
      check_close(got_z, want_z, {double(c.channels), scale / c.rows});
    }
  }
}

TEST_CASE("both sides of the similarity agree with central differences", "[softmax_loss]") {
  const auto p = random<double>(4 * 7, 11), z = random<double>(4 * 7, 12);
  Similarity<double> loss = {4, 7, {p}, {z}};
  loss.forward();
  auto dp = loss.empty(), dz = loss.empty();
  loss.backward({dp.data()}, {dz.data()});
  const auto by_p = numeric_gradient(matrix(4, 7, p), [&](const Matrix& moved) {
    return Similarity<double>{4, 7, {moved.at}, {z}}.forward();
  });
  const auto by_z = numeric_gradient(matrix(4, 7, z), [&](const Matrix& moved) {
    return Similarity<double>{4, 7, {p}, {moved.at}}.forward();
  });
  CHECK(relative_error(dp, by_p.at) < 1e-8);
  CHECK(relative_error(dz, by_z.at) < 1e-8);
}

TEST_CASE("the similarity leaves a walled side alone", "[softmax_loss]") {
  Similarity<float> loss = {3,
                            4,
                            {as<float>(golden_p1()), as<float>(golden_p2())},
                            {as<float>(golden_z2()), as<float>(golden_z1())}};
  loss.forward();
  auto dp1 = loss.empty(), dp2 = dp1, dz1 = dp1, dz2 = dp1;
  loss.backward({dp1.data(), dp2.data()}, {dz2.data(), dz1.data()});
  const auto untouched = loss;
  std::vector<float> walled(12, 0.0f);
  loss.backward({nullptr, walled.data()}, {nullptr, nullptr}, true);
  CHECK(same_bits(walled, dp2));
  walled.assign(12, 0.0f);
  loss.backward({nullptr, nullptr}, {walled.data(), nullptr}, true);
  CHECK(same_bits(walled, dz2));
  CHECK((loss.p == untouched.p && loss.z == untouched.z && loss.saved == untouched.saved));
}

TEMPLATE_TEST_CASE("softmax losses have the same bits with any threads", "[softmax_loss]", float, bf16,
                   double) {
  using T = TestType;
  const int rows = 701, channels = 130;
  const auto p = random<T>(rows * channels, 13), z = random<T>(p.size(), 14);
  Similarity<T> one = {rows, channels, {p, z}, {z, p}, 1}, three = one;
  three.threads = 3;
  CHECK(same_bits<Acc<T>>({one.forward()}, {three.forward()}));
  auto a = one.empty(), b = a, c = a, d = a;
  one.backward({a.data(), nullptr}, {b.data(), nullptr});
  three.backward({c.data(), nullptr}, {d.data(), nullptr});
  CHECK((same_bits(a, c) && same_bits(b, d)));

  CrossEntropy<T> first = {rows, channels, p, some_labels(rows, channels), 1}, second = first;
  second.threads = 3;
  CHECK(same_bits<Acc<T>>({first.forward()}, {second.forward()}));
  CHECK(same_bits(first.backward(), second.backward()));
}

TEST_CASE("softmax losses do not hide NaN", "[softmax_loss]") {
  auto x = random<float>(3 * 9, 15);
  const auto y = x;
  x[13] = NAN;
  CHECK(std::isnan(CrossEntropy<float>{3, 9, x, {0, 0, 0}}.forward()));
  CHECK(std::isnan(Similarity<float>{3, 9, {x}, {y}}.forward()));
  CHECK(std::isnan(Similarity<float>{3, 9, {y}, {x}}.forward()));
}
