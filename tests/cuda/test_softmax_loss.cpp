#include "kernels/softmax_loss.h"

#include "tests/cuda/rows.h"

using namespace stopgrad;
using namespace stopgrad::test;

namespace {

template <class T>
using Similarity = PairLoss<SoftmaxSimilarityForward, SoftmaxSimilarityBackward, T>;

template <class T>
Similarity<T> random_similarity(int rows, int channels, size_t skip = 0) {
  Similarity<T> loss{rows, channels, {}, {}, skip};
  for (const uint64_t seed : {6, 7}) {
    loss.p.push_back(skipping(skip, random<T>(size_t(rows) * channels, seed, -2, 2)));
    loss.z.push_back(skipping(skip, random<T>(size_t(rows) * channels, seed + 2, -2, 2)));
  }
  return loss;
}

/// Gradients of one pair: scale (softmax(p) - softmax(z)), and -scale softmax(z) (log softmax(p) - mean).
struct Wanted {
  std::vector<double> dp, dz;
  Wanted(const Matrix& p, const Matrix& z, double scale) {
    const Matrix q = softmax(p), s = softmax(z), log_q = log_softmax(p);
    for (int r = 0; r < p.rows; ++r) {
      double mean = 0;
      for (int j = 0; j < p.channels; ++j) mean += s(r, j) * log_q(r, j);
      for (int j = 0; j < p.channels; ++j) {
        dp.push_back(scale * (q(r, j) - s(r, j)));
        dz.push_back(-scale * s(r, j) * (log_q(r, j) - mean));
      }
    }
  }
};

template <class T>
struct CrossEntropy {
  int rows, classes;
  std::vector<T> logits;
  std::vector<int32_t> labels = {};
  size_t skip = 0;
  bool accumulate = false;
  std::vector<float> probability = {}, loss = {NAN}, dloss = {0.5f};
  std::vector<T> dlogits = {};
  std::vector<int32_t> left_out = {};

  void forward() {
    probability.assign(logits.size(), NAN);
    Mirror mirror;
    mirror.add(logits, labels, probability, loss, left_out);
    CrossEntropyForward<T> call{rows,
                                classes,
                                logits.data() + skip,
                                labels.data(),
                                loss.data(),
                                probability.data() + skip,
                                left_out.empty() ? nullptr : left_out.data()};
    mirror.move(call.logits, call.labels, call.loss, call.probability, call.left_out);
    run(call, device());
    mirror.fetch();
  }
  CrossEntropyBackward<T> backward_call() {
    return {rows,      classes, labels.data(), probability.data() + skip, dloss.data(), dlogits.data() + skip,
            accumulate};
  }
  void backward() {
    Mirror mirror;
    mirror.add(labels, probability, dloss, dlogits);
    auto call = backward_call();
    mirror.move(call.labels, call.probability, call.dloss, call.dlogits);
    run(call, device());
    mirror.fetch();
  }
};

}  // namespace

TEMPLATE_TEST_CASE("cross entropy on CUDA follows the definition, its gradient is the CPU's bit for bit",
                   "[cuda][softmax_loss]", float, bf16) {
  cpu::Context cpu(1);
  for (const MatrixCase& c : row_cases())
    for (const size_t skip : {0, 1}) {
      if (skip > 0 && c.rows >= 1000) continue;
      INFO(c.name << ", " << skip << " elements off");
      const auto x = random<TestType>(size_t(c.rows) * c.channels, 1, -3, 3);
      CrossEntropy<TestType> got{c.rows, c.channels, skipping(skip, x)};
      got.skip = skip;
      for (int r = 0; r < c.rows; ++r) got.labels.push_back((7 * r + 3) % c.channels);
      got.forward();
      const Matrix wide = matrix(c.rows, c.channels, x), log_q = log_softmax(wide);
      double loss = 0;
      for (int r = 0; r < c.rows; ++r) loss -= log_q(r, got.labels[r]) / c.rows;
      check_close<float>(got.loss, {loss}, {double(c.channels), 1});
      check_close<float>(after(skip, got.probability), softmax(wide).at, {double(c.channels), 1});

      for (const bool accumulate : {false, true}) {
        got.dlogits = random<TestType>(got.logits.size(), 2);
        if (!accumulate) fill_nan(got.dlogits);
        got.accumulate = accumulate;
        auto want = got;
        got.backward();
        run(want.backward_call(), cpu);
        CHECK(same_bits(got.dlogits, want.dlogits));
      }
    }
}

TEMPLATE_TEST_CASE("classes that are left out on CUDA count as if they were not there",
                   "[cuda][softmax_loss]", float, bf16) {
  for (const MatrixCase& c : {MatrixCase{"packs", 9, 24}, {"odd", 7, 13}, {"long rows", 3, 1048}}) {
    INFO(c.name);
    const auto x = random<TestType>(size_t(c.rows) * c.channels, 1, -3, 3);
    CrossEntropy<TestType> got{c.rows, c.channels, x};
    for (int r = 0; r < c.rows; ++r) got.labels.push_back((7 * r + 3) % c.channels);
    got.left_out = some_ranges(c.rows, c.channels);
    got.forward();
    const Matrix log_q = log_softmax(without(matrix(c.rows, c.channels, x), got.labels, got.left_out));
    double loss = 0;
    std::vector<double> probability;
    for (int r = 0; r < c.rows; ++r) loss -= log_q(r, got.labels[r]) / c.rows;
    for (const double v : log_q.at) probability.push_back(std::exp(v));
    check_close<float>(got.loss, {loss}, {double(c.channels), 1});
    check_close<float>(got.probability, probability, {double(c.channels), 1});
    for (size_t i = 0; i < x.size(); ++i)
      if (probability[i] == 0) CHECK(got.probability[i] == 0);
  }
}

TEST_CASE("a label outside the classes makes the loss NaN on CUDA, and nothing is read there",
          "[cuda][softmax_loss]") {
  for (const int bad : {-1, 10, 2147483647}) {
    CrossEntropy<float> loss{4, 10, random<float>(40, 3), {0, 9, bad, 1}};
    loss.forward();
    CHECK(std::isnan(loss.loss[0]));
    loss.labels[2] = 9;
    loss.forward();
    CHECK(std::isfinite(loss.loss[0]));
  }
}

TEMPLATE_TEST_CASE("the softmax similarity and its gradients on CUDA follow the definition",
                   "[cuda][softmax_loss]", float, bf16) {
  for (const MatrixCase& c : row_cases())
    for (const size_t skip : {0, 1}) {
      if (skip > 0 && c.rows >= 1000) continue;
      INFO(c.name << ", " << skip << " elements off");
      auto got = random_similarity<TestType>(c.rows, c.channels, skip);
      got.forward(device());
      got.gradient_each();
      got.backward(device());
      double loss = 0;
      const double scale = 4 + std::log(c.channels);  // |log softmax| is no larger
      for (int k = 0; k < 2; ++k) {
        const Matrix p = matrix(c.rows, c.channels, after(skip, got.p[k])),
                     z = matrix(c.rows, c.channels, after(skip, got.z[k]));
        loss += softmax_similarity(p, z) / 2;
        const Wanted want(p, z, 0.25 / c.rows);
        check_close(after(skip, got.gradients[2 * k]), want.dp, {double(c.channels), 1.0 / c.rows});
        check_close(after(skip, got.gradients[2 * k + 1]), want.dz, {double(c.channels), scale / c.rows});
      }
      check_close<float>(got.loss, {loss}, {double(c.channels), scale});
    }
}

TEST_CASE("similarity gradients on CUDA add up in shared memory and stop at a wall", "[cuda][softmax_loss]") {
  for (const int channels : {33, 48, 520}) {
    if (!affordable(5 * channels)) continue;
    INFO(channels << " channels");
    auto each = random_similarity<float>(5, channels);
    each.forward(device());
    each.gradient_each();
    each.backward(device());
    auto shared = each, walled = each;
    // d[0] = dp[0] + dz[1], d[1] = dz[0] + dp[1]: the first of two sets, the second adds.
    shared.dp = {0, 1}, shared.dz = {1, 0};
    shared.add_p = shared.add_z = {false, true};
    shared.backward(device());
    for (size_t i = 0; i < each.p[0].size(); ++i) {
      CHECK(shared.gradients[0][i] == each.gradients[0][i] + each.gradients[3][i]);
      CHECK(shared.gradients[1][i] == each.gradients[1][i] + each.gradients[2][i]);
    }
    for (auto& g : walled.gradients) fill_nan(g);
    const auto untouched = walled.gradients[1];
    walled.dp = {0, -1}, walled.dz = {-1, 3};
    walled.backward(device());
    CHECK(same_bits(walled.gradients[0], each.gradients[0]));
    CHECK(same_bits(walled.gradients[1], untouched));
    CHECK(same_bits(walled.gradients[2], untouched));
    CHECK(same_bits(walled.gradients[3], each.gradients[3]));
  }
}

TEMPLATE_TEST_CASE("logits of ten thousand stay finite on CUDA, NaN shows", "[cuda][softmax_loss]", float,
                   bf16) {
  const int rows = 4, channels = 50;
  Similarity<TestType> loss{rows,
                            channels,
                            {random<TestType>(rows * channels, 4, -1e4, 1e4)},
                            {random<TestType>(rows * channels, 5, -1e4, 1e4)}};
  auto &x = loss.p[0], &y = loss.z[0];
  x[0] = y[1] = from_double<TestType>(1e4);
  x[1] = y[0] = from_double<TestType>(-1e4);
  loss.forward(device());
  check_close<float>(loss.loss, {softmax_similarity(matrix(rows, channels, x), matrix(rows, channels, y))},
                     {double(channels), 1e4});
  loss.gradient_each();
  loss.backward(device());
  for (int i = 0; i < 2; ++i)
    CHECK(std::all_of(loss.gradients[i].begin(), loss.gradients[i].end(),
                      [](TestType v) { return std::isfinite(to_double(v)); }));
  const auto first = loss.saved;
  loss.forward(device());
  CHECK(same_bits(loss.saved, first));
  CrossEntropy<TestType> entropy{rows, channels, x, {1, 0, 3, 4}};
  entropy.forward();
  CHECK(std::isfinite(entropy.loss[0]));
  entropy.logits[channels + 30] = from_double<TestType>(NAN);
  entropy.forward();
  CHECK(std::isnan(entropy.loss[0]));
  x[channels + 30] = from_double<TestType>(NAN);
  loss.forward(device());
  for (int r = 0; r < rows; ++r) CHECK(std::isnan(loss.saved[3 * r + 2]) == (r == 1));
}
