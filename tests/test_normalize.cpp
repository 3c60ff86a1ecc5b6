#include "kernels/normalize.h"

#include "tests/cases.h"
#include "tests/compare.h"
#include "tests/reference/rows.h"

using namespace stopgrad;
using namespace stopgrad::test;

namespace {

template <class T>
struct Normalized {
  std::vector<T> y;
  std::vector<Acc<T>> inv_norm;
};

template <class T>
Normalized<T> normalize(int rows, int channels, const std::vector<T>& x, int threads = 2) {
  cpu::Context context(threads);
  Normalized<T> out = {std::vector<T>(x.size()), std::vector<Acc<T>>(rows)};
  run(NormalizeForward<T>{rows, channels, x.data(), out.y.data(), out.inv_norm.data()}, context);
  return out;
}

template <class T>
std::vector<T> gradient(int rows, int channels, const Normalized<T>& n, const std::vector<T>& dy,
                        const std::vector<T>* old = nullptr, int threads = 2) {
  cpu::Context context(threads);
  std::vector<T> dx = old ? *old : std::vector<T>(dy.size(), from_double<T>(NAN));
  run(NormalizeBackward<T>{rows, channels, dy.data(), n.y.data(), n.inv_norm.data(), dx.data(),
                           old != nullptr},
      context);
  return dx;
}

}  // namespace

TEMPLATE_TEST_CASE("rows become unit vectors and their gradient follows the formula", "[normalize]", float,
                   bf16, double) {
  using T = TestType;
  for (const MatrixCase& c : matrix_cases()) {
    if (c.real) continue;
    INFO(c.name);
    const auto x = long_rows<T>(c.rows, c.channels, 1), dy = random<T>(x.size(), 2),
               old = random<T>(x.size(), 3);
    const Matrix wide = matrix(c.rows, c.channels, x);
    const auto n = normalize(c.rows, c.channels, x);
    check_close(n.y, unit_rows(wide).at, {double(c.channels), 1});

    // The rounding of y to T enters the gradient through (dy . y) y, twice, scaled by 1/|x| <= 2.
    const double through_y = 4 * epsilon_of<T> / epsilon_of<Acc<T>> / 8;
    const Matrix want = unit_rows_gradient(wide, matrix(c.rows, c.channels, dy));
    const Tolerance<T> tolerance = {double(c.channels), 2 + through_y};
    const auto dx = gradient(c.rows, c.channels, n, dy), sum = gradient(c.rows, c.channels, n, dy, &old);
    check_close(dx, want.at, tolerance);
    auto want_sum = want.at;
    for (size_t i = 0; i < want_sum.size(); ++i) want_sum[i] += to_double(old[i]);
    check_close(sum, want_sum, tolerance);

    const auto n1 = normalize(c.rows, c.channels, x, 1), n3 = normalize(c.rows, c.channels, x, 3);
    CHECK(same_bits(n1.y, n3.y));
    CHECK(same_bits(n1.inv_norm, n3.inv_norm));
    CHECK(same_bits(gradient<T>(c.rows, c.channels, n, dy, &old, 1),
                    gradient<T>(c.rows, c.channels, n, dy, &old, 3)));
  }
}

TEST_CASE("the gradient of normalising agrees with central differences", "[normalize]") {
  const int rows = 5, channels = 7;
  const auto x = long_rows<double>(rows, channels, 4), weight = random<double>(x.size(), 5);
  const auto dx = gradient(rows, channels, normalize(rows, channels, x), weight);
  const Matrix numeric = numeric_gradient(matrix(rows, channels, x), [&](const Matrix& moved) {
    const auto y = normalize(rows, channels, moved.at).y;
    double sum = 0;
    for (size_t i = 0; i < y.size(); ++i) sum += weight[i] * y[i];
    return sum;
  });
  CHECK(relative_error(dx, numeric.at) < 1e-8);
  for (int r = 0; r < rows; ++r) {  // no gradient along the row: its length does not matter
    double along = 0;
    for (int c = 0; c < channels; ++c) along += dx[r * channels + c] * x[r * channels + c];
    CHECK(std::abs(along) < 1e-14);
  }
}

TEMPLATE_TEST_CASE("rows below the floor are scaled, not blown up", "[normalize]", float, bf16, double) {
  using T = TestType;
  const int channels = 33;
  std::vector<T> x(2 * channels, from_double<T>(0));
  for (int c = 0; c < channels; ++c)
    x[channels + c] = from_double<T>(0x1p-50 * (c % 3 - 1));  // |x| < 1e-12 / 100
  const auto dy = integers<T>(x.size(), 6);
  const auto n = normalize(2, channels, x);
  const auto dx = gradient(2, channels, n, dy);
  std::vector<double> y_want(x.size()), dx_want(x.size());
  for (size_t i = 0; i < x.size(); ++i) {
    y_want[i] = to_double(x[i]) / 1e-12;
    dx_want[i] = to_double(dy[i]) / 1e-12;
  }
  check_close(n.y, y_want, {1, 1e-2});
  check_close(dx, dx_want, {1, 2e12});
  for (int c = 0; c < channels; ++c) CHECK(to_double(n.y[c]) == 0);
}

TEST_CASE("normalising does not hide NaN", "[normalize]") {
  std::vector<float> x = random<float>(3 * 40, 7);
  x[40 + 5] = NAN;
  const auto y = normalize(3, 40, x).y;
  for (int i = 0; i < 120; ++i) CHECK(std::isnan(y[i]) == (i / 40 == 1));
}
