#include "kernels/cosine_loss.h"

#include "tests/cases.h"
#include "tests/compare.h"
#include "tests/reference/rows.h"

using namespace stopgrad;
using namespace stopgrad::test;

namespace {

/// Symmetric loss over (p1, z2) and (p2, z1), or one pair alone.
template <class T>
struct Loss {
  int rows, channels;
  std::vector<std::vector<T>> p, z;
  int threads = 2;
  std::vector<Acc<T>> saved = {};
  Acc<T> dloss = 1;

  Acc<T> forward() {
    cpu::Context context(threads);
    CosineLossForward<T> call = {pairs(), rows, channels, {}, {}, nullptr, nullptr};
    Acc<T> loss = NAN;
    saved.assign(3 * p.size() * rows, NAN);
    call.loss = &loss;
    call.saved = saved.data();
    for (int k = 0; k < pairs(); ++k) call.p[k] = p[k].data(), call.z[k] = z[k].data();
    run(call, context);
    return loss;
  }

  /// Null in dp or dz: that side is behind a wall.
  void backward(std::vector<T*> dp, std::vector<T*> dz, bool accumulate = false) {
    const std::vector<bool> same(p.size(), accumulate);
    backward(dp, dz, same, same);
  }
  void backward(std::vector<T*> dp, std::vector<T*> dz, std::vector<bool> add_p, std::vector<bool> add_z) {
    cpu::Context context(threads);
    CosineLossBackward<T> call = {pairs(), rows, channels, {}, {}, saved.data(), &dloss, {}, {}, {}, {}};
    T* const poison = reinterpret_cast<T*>(64);  // slots past the pairs must not be touched
    std::fill_n(call.p, kMaxPairs, poison);
    std::fill_n(call.z, kMaxPairs, poison);
    std::fill_n(call.dp, kMaxPairs, poison);
    std::fill_n(call.dz, kMaxPairs, poison);
    for (int k = 0; k < pairs(); ++k) {
      call.p[k] = p[k].data(), call.z[k] = z[k].data();
      call.dp[k] = dp[k], call.dz[k] = dz[k];
      call.accumulate_dp[k] = add_p[k], call.accumulate_dz[k] = add_z[k];
    }
    run(call, context);
  }

  std::vector<T> empty() const { return std::vector<T>(p[0].size(), from_double<T>(NAN)); }
  int pairs() const { return static_cast<int>(p.size()); }
};

template <class T>
Loss<T> golden_loss() {
  return {3, 4, {as<T>(golden_p1()), as<T>(golden_p2())}, {as<T>(golden_z2()), as<T>(golden_z1())}};
}

template <class T>
void check_row(const std::vector<T>& got, int row, std::vector<double> want, double margin) {
  for (int c = 0; c < 4; ++c) {
    INFO("row " << row << ", column " << c);
    CHECK(double(got[row * 4 + c]) == Approx(want[c]).margin(margin).epsilon(0));
  }
}

}  // namespace

TEMPLATE_TEST_CASE("the loss and its gradients are the golden ones", "[cosine_loss]", float, double) {
  using T = TestType;
  const bool exact = std::is_same_v<T, double>;
  Loss<T> loss = golden_loss<T>();
  CHECK(loss.forward() == Approx(0.146974505509).margin(exact ? 5e-13 : 1e-6).epsilon(0));
  for (const int pair : {0, 1}) {
    Loss<T> one = {3, 4, {loss.p[pair]}, {loss.z[pair]}};
    CHECK(one.forward() ==
          Approx(pair == 0 ? 0.087597705164 : 0.206351305854).margin(exact ? 5e-13 : 1e-6).epsilon(0));
  }

  const double margin = exact ? 5.01e-9 : 1e-6;
  auto dp1 = loss.empty(), dp2 = loss.empty(), dz2 = loss.empty();
  loss.backward({dp1.data(), dp2.data()}, {dz2.data(), nullptr});
  check_row(dp1, 0, {-.01676234, -.02560581, -.0458586, -.01313655}, margin);
  check_row(dp1, 2, {.04035285, .04907961, -.00022182, -.08715541}, margin);
  check_row(dp2, 0, {.01742502, .04103612, .01786259, .07050218}, margin);
  check_row(dz2, 0, {-.00218151, .00801916, .05175901, .03282433}, margin);
}

TEMPLATE_TEST_CASE("loss and gradients follow the definition over all shapes", "[cosine_loss]", float, bf16,
                   double) {
  using T = TestType;
  for (const MatrixCase& c : matrix_cases()) {
    if (c.real) continue;
    INFO(c.name);
    Loss<T> loss = {c.rows, c.channels, {}, {}};
    Matrix p[2], z[2];
    for (int k = 0; k < 2; ++k) {
      loss.p.push_back(long_rows<T>(c.rows, c.channels, 1 + k));
      loss.z.push_back(long_rows<T>(c.rows, c.channels, 3 + k));
      p[k] = matrix(c.rows, c.channels, loss.p[k]);
      z[k] = matrix(c.rows, c.channels, loss.z[k]);
    }
    loss.dloss = Acc<T>(0.5);
    const double want = (negative_cosine(p[0], z[0]) + negative_cosine(p[1], z[1])) / 2;
    check_close<Acc<T>>({loss.forward()}, {want}, {double(c.channels), 1});

    const auto old = random<T>(loss.p[0].size(), 5, 0.0, 1.0 / c.rows);
    for (int k = 0; k < 2; ++k) {
      const Matrix dp = negative_cosine_gradient(p[k], z[k]), dz = negative_cosine_gradient(z[k], p[k]);
      for (const bool accumulate : {false, true}) {
        std::vector<T*> to_p(2), to_z(2);
        auto got_p = accumulate ? old : loss.empty(), got_z = got_p;
        to_p[k] = got_p.data(), to_z[k] = got_z.data();
        loss.backward(to_p, to_z, accumulate);
        std::vector<double> want_p, want_z;
        for (size_t i = 0; i < old.size(); ++i) {
          const double start = accumulate ? to_double(old[i]) : 0;
          want_p.push_back(start + dp.at[i] / 4);
          want_z.push_back(start + dz.at[i] / 4);
        }
        const Tolerance<T> tolerance = {double(c.channels), 1.0 / c.rows};  // rows are no shorter than 1/2
        check_close(got_p, want_p, tolerance);
        check_close(got_z, want_z, tolerance);
      }
    }
  }
}

TEST_CASE("both sides agree with central differences", "[cosine_loss]") {
  const int rows = 4, channels = 9;
  const auto p = long_rows<double>(rows, channels, 6), z = random<double>(p.size(), 7);
  Loss<double> loss = {rows, channels, {p}, {z}};
  loss.forward();
  auto dp = loss.empty(), dz = loss.empty();
  loss.backward({dp.data()}, {dz.data()});
  const auto by_p = numeric_gradient(matrix(rows, channels, p), [&](const Matrix& moved) {
    return Loss<double>{rows, channels, {moved.at}, {z}}.forward();
  });
  const auto by_z = numeric_gradient(matrix(rows, channels, z), [&](const Matrix& moved) {
    return Loss<double>{rows, channels, {p}, {moved.at}}.forward();
  });
  CHECK(relative_error(dp, by_p.at) < 1e-8);
  CHECK(relative_error(dz, by_z.at) < 1e-8);
  for (int r = 0; r < rows; ++r) {  // the length of a row does not matter
    double along = 0;
    for (int c = 0; c < channels; ++c) along += dp[r * channels + c] * p[r * channels + c];
    CHECK(std::abs(along) < 1e-15);
  }
}

TEMPLATE_TEST_CASE("a vector against itself gives minus one and no gradient", "[cosine_loss]", float, bf16,
                   double) {
  using T = TestType;
  const auto p = long_rows<T>(6, 100, 8);
  Loss<T> loss = {6, 100, {p}, {p}};
  check_close<Acc<T>>({loss.forward()}, {-1}, {100, 1});
  auto dp = loss.empty();
  loss.backward({dp.data()}, {nullptr});
  check_close(dp, std::vector<double>(p.size()), {100, 1.0 / 6});
}

TEST_CASE("two plus twice the loss is the squared distance of the unit vectors", "[cosine_loss]") {
  const auto p = long_rows<double>(5, 11, 9), z = long_rows<double>(5, 11, 10);
  const Matrix u = unit_rows(matrix(5, 11, p)), v = unit_rows(matrix(5, 11, z));
  double distance = 0;
  for (size_t i = 0; i < p.size(); ++i) distance += std::pow(u.at[i] - v.at[i], 2) / 5;
  CHECK(2 + 2 * Loss<double>{5, 11, {p}, {z}}.forward() == Approx(distance).epsilon(1e-14));
}

TEST_CASE("swapping the views leaves the symmetric loss and swaps its gradients", "[cosine_loss]") {
  Loss<double> loss = golden_loss<double>(), swapped = {3, 4, {loss.p[1], loss.p[0]}, {loss.z[1], loss.z[0]}};
  CHECK(loss.forward() == Approx(swapped.forward()).epsilon(1e-15));
  auto a = loss.empty(), b = a, c = a, d = a;
  loss.backward({a.data(), b.data()}, {nullptr, nullptr});
  swapped.backward({c.data(), d.data()}, {nullptr, nullptr});
  CHECK(same_bits(a, d));
  CHECK(same_bits(b, c));
}

TEST_CASE("the side behind a wall is neither read nor written", "[cosine_loss]") {
  // Null with accumulate set: any touch would be a fault. What is computed must not depend on it.
  Loss<float> loss = golden_loss<float>();
  loss.forward();
  auto dp1 = loss.empty(), dp2 = dp1, dz2 = dp1, dz1 = dp1;
  loss.backward({dp1.data(), dp2.data()}, {dz2.data(), dz1.data()});
  const auto untouched = loss;
  std::vector<float> zero(12, 0.0f), walled = zero;
  loss.backward({walled.data(), nullptr}, {nullptr, nullptr}, true);
  CHECK(same_bits(walled, dp1));
  walled = zero;
  loss.backward({nullptr, nullptr}, {nullptr, walled.data()}, true);
  CHECK(same_bits(walled, dz1));
  loss.backward({nullptr, nullptr}, {nullptr, nullptr}, true);
  CHECK((loss.p == untouched.p && loss.z == untouched.z && loss.saved == untouched.saved));
}

TEST_CASE("gradients of one tensor on both sides add up, whatever the threads", "[cosine_loss]") {
  // Identity predictor without a wall: p1 is z1 and p2 is z2. The first of two gradients in one place sets
  // it, the second adds to it.
  const int rows = 700, channels = 33;
  const auto a = long_rows<float>(rows, channels, 11), b = long_rows<float>(rows, channels, 12);
  Loss<float> loss = {rows, channels, {a, b}, {b, a}};
  loss.forward();
  std::vector<float> by_p[2] = {loss.empty(), loss.empty()}, by_z[2] = {loss.empty(), loss.empty()};
  loss.backward({by_p[0].data(), by_p[1].data()}, {by_z[0].data(), by_z[1].data()});
  for (size_t i = 0; i < a.size(); ++i) {
    by_p[0][i] += by_z[1][i];
    by_z[0][i] += by_p[1][i];
  }
  for (const int threads : {1, 3}) {
    loss.threads = threads;
    auto da = loss.empty(), db = loss.empty();
    loss.backward({da.data(), db.data()}, {db.data(), da.data()}, {false, true}, {false, true});
    CHECK(same_bits(da, by_p[0]));
    CHECK(same_bits(db, by_z[0]));
  }
}

TEMPLATE_TEST_CASE("a row of zeros adds nothing to the loss and has a finite gradient", "[cosine_loss]",
                   float, bf16, double) {
  using T = TestType;
  const int channels = 20;
  auto p = long_rows<T>(3, channels, 13), z = long_rows<T>(3, channels, 14);
  std::fill(p.begin(), p.begin() + channels, T{});                 // row 0: p is zero
  std::fill(p.begin() + channels, p.begin() + 2 * channels, T{});  // row 1: both are
  std::fill(z.begin() + channels, z.begin() + 2 * channels, T{});
  Loss<T> loss = {3, channels, {p}, {z}};
  const double want = negative_cosine(matrix(3, channels, p), matrix(3, channels, z));
  check_close<Acc<T>>({loss.forward()}, {want}, {double(channels), 1});
  CHECK(loss.saved[2] == 0);
  CHECK(loss.saved[5] == 0);

  // Below the floor p^ = p / 1e-12, so dp = - z^ / (rows * 1e-12).
  auto dp = loss.empty(), dz = loss.empty();
  loss.backward({dp.data()}, {dz.data()});
  const Matrix unit_z = unit_rows(matrix(3, channels, z));
  std::vector<double> want_dp(2 * channels);
  for (int i = 0; i < 2 * channels; ++i) want_dp[i] = -unit_z.at[i] / 3e-12;
  dp.resize(2 * channels), dz.resize(2 * channels);
  check_close(dp, want_dp, {double(channels), 1e12});
  CHECK(std::all_of(dz.begin(), dz.end(), [](T g) { return to_double(g) == 0; }));
}

TEST_CASE("below the floor the gradient is that of the definition", "[cosine_loss]") {
  Matrix p = {1, 3, {1e-13, 2e-13, -1e-13}};
  const std::vector<double> z = {1, -2, 3};
  Loss<double> loss = {1, 3, {p.at}, {z}};
  loss.forward();
  auto dp = loss.empty();
  loss.backward({dp.data()}, {nullptr});
  const auto numeric = numeric_gradient(
      p,
      [&](const Matrix& moved) {
        return negative_cosine(moved, {1, 3, z});
      },
      1e-15);
  CHECK(relative_error(dp, numeric.at) < 1e-8);
}

TEMPLATE_TEST_CASE("bits do not depend on threads nor on the run", "[cosine_loss]", float, bf16, double) {
  using T = TestType;
  for (const MatrixCase& c : matrix_cases()) {
    if (int64_t{c.rows} * c.channels > 2000000) continue;
    INFO(c.name);
    const auto p = random<T>(size_t(c.rows) * c.channels, 15), z = random<T>(p.size(), 16);
    Loss<T> one = {c.rows, c.channels, {p, z}, {z, p}, 1}, three = one, again = one;
    three.threads = again.threads = 3;
    const std::vector<Acc<T>> losses = {one.forward(), three.forward(), again.forward()};
    CHECK(same_bits<Acc<T>>({losses[0], losses[0]}, {losses[1], losses[2]}));
    CHECK(same_bits(one.saved, three.saved));
    auto dp1 = one.empty(), dz1 = dp1, dp3 = dp1, dz3 = dp1;
    one.backward({dp1.data(), nullptr}, {dz1.data(), nullptr});
    three.backward({dp3.data(), nullptr}, {dz3.data(), nullptr});
    CHECK(same_bits(dp1, dp3));
    CHECK(same_bits(dz1, dz3));
  }
}

TEST_CASE("NaN and infinity in one row reach the loss", "[cosine_loss]") {
  for (const float bad : {NAN, INFINITY}) {
    auto p = random<float>(3 * 40, 17), z = random<float>(3 * 40, 18);
    p[77] = bad;
    CHECK(std::isnan(Loss<float>{3, 40, {p}, {z}}.forward()));
  }
}
