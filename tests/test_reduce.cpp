#include "kernels/reduce.h"

#include "tests/cases.h"
#include "tests/compare.h"
#include "tests/reference/rows.h"

using namespace stopgrad;
using namespace stopgrad::test;

namespace {

struct Result {
  double sum = NAN, squares = NAN;
  int64_t not_finite = -1;
};

template <class T>
Result summary(const std::vector<T>& x, int threads = 2) {
  cpu::Context context(threads);
  Result r;
  run(Summary<T>{static_cast<int64_t>(x.size()), x.data(), &r.sum, &r.squares, &r.not_finite}, context);
  return r;
}

template <class T>
std::vector<Acc<T>> column_sum(int rows, int channels, const std::vector<T>& x, std::vector<Acc<T>> start,
                               bool accumulate, int threads = 2) {
  cpu::Context context(threads);
  run(ColumnSum<T>{rows, channels, x.data(), start.data(), accumulate}, context);
  return start;
}

struct Statistics {
  std::vector<double> mean, std;
  /// sqrt(channels) * mean(std)
  double spread() const {
    double sum = 0;
    for (double s : std) sum += s;
    return std::sqrt(double(std.size())) * sum / double(std.size());
  }
};

template <class T>
Statistics statistics(int rows, int channels, const std::vector<T>& x, int threads = 2) {
  cpu::Context context(threads);
  Statistics s = {std::vector<double>(channels, NAN), std::vector<double>(channels, NAN)};
  run(UnitRowStatistics<T>{rows, channels, x.data(), s.mean.data(), s.std.data()}, context);
  return s;
}

}  // namespace

TEMPLATE_TEST_CASE("a summary of whole numbers is exact", "[reduce]", float, bf16, double) {
  using T = TestType;
  for (const size_t n : {0, 1, 31, 33, 4096, 4097, 100003}) {
    INFO(n << " elements");
    const auto x = integers<T>(n, 1, -9, 9);
    double sum = 0, squares = 0;
    for (const T v : x) sum += to_double(v), squares += to_double(v) * to_double(v);
    for (const int threads : {1, 3}) {
      const Result r = summary(x, threads);
      CHECK(r.sum == sum);
      CHECK(r.squares == squares);
      CHECK(r.not_finite == 0);
    }
  }
}

TEST_CASE("sums over floats are kept in double", "[reduce]") {
  std::vector<float> x(300000, 1e-3f);
  x[7] = 1e8f;
  const Result r = summary(x);
  CHECK(r.sum == Approx(1e8 + 299999 * double(1e-3f)).epsilon(1e-14));
  CHECK(r.squares == Approx(1e16 + 299999 * double(1e-3f) * double(1e-3f)).epsilon(1e-14));
}

TEMPLATE_TEST_CASE("every NaN and infinity is counted, wherever it stands", "[reduce]", float, bf16, double) {
  using T = TestType;
  auto x = random<T>(70001, 2, -1e30, 1e30);
  const double bad[] = {NAN, INFINITY, -INFINITY, -NAN};
  const size_t places[] = {0, 1, 31, 32, 4095, 4096, 50000, 70000};
  for (size_t i = 0; i < 8; ++i) {
    x[places[i]] = from_double<T>(bad[i % 4]);
    CHECK(summary(x).not_finite == int64_t(i) + 1);
  }
  x[2] = from_double<T>(to_double(std::numeric_limits<float>::max()) / 2);  // large, not infinite
  CHECK(summary(x).not_finite == 8);
}

TEST_CASE("a summary computes only what is asked for", "[reduce]") {
  cpu::Context context(2);
  const auto x = integers<float>(5000, 3);
  const Result all = summary(x);
  double sum = NAN, squares = NAN;
  int64_t bad = -1;
  run(Summary<float>{5000, x.data(), &sum, nullptr, nullptr}, context);
  run(Summary<float>{5000, x.data(), nullptr, &squares, nullptr}, context);
  run(Summary<float>{5000, x.data(), nullptr, nullptr, &bad}, context);
  CHECK((sum == all.sum && squares == all.squares && bad == 0));
}

TEMPLATE_TEST_CASE("summaries have the same bits with any threads and at any alignment", "[reduce]", float,
                   bf16, double) {
  using T = TestType;
  const auto x = random<T>(100003, 4);
  const Result one = summary(x, 1);
  for (const int threads : {2, 3, 7}) {
    const Result r = summary(x, threads);
    CHECK(same_bits<double>({r.sum, r.squares}, {one.sum, one.squares}));
  }
  std::vector<T> shifted(x.size() + 1);
  std::copy(x.begin(), x.end(), shifted.begin() + 1);
  cpu::Context context(2);
  Result r;
  run(Summary<T>{static_cast<int64_t>(x.size()), shifted.data() + 1, &r.sum, &r.squares, nullptr}, context);
  CHECK(same_bits<double>({r.sum, r.squares}, {one.sum, one.squares}));
}

TEMPLATE_TEST_CASE("column sums are exact on whole numbers and close on random ones", "[reduce]", float, bf16,
                   double) {
  using T = TestType;
  using A = Acc<T>;
  for (const MatrixCase& c : matrix_cases()) {
    if (int64_t{c.rows} * c.channels > 2000000) continue;
    INFO(c.name);
    const size_t n = size_t(c.rows) * c.channels;
    const auto whole = integers<T>(n, 5), broken = random<T>(n, 6);
    const auto start = integers<A>(c.channels, 7);
    std::vector<A> exact = start;
    std::vector<long double> precise(c.channels);
    for (size_t i = 0; i < n; ++i) {
      exact[i % c.channels] += A(whole[i]);
      precise[i % c.channels] += to_double(broken[i]);
    }
    const std::vector<double> close(precise.begin(), precise.end());
    CHECK(same_bits(column_sum<T>(c.rows, c.channels, whole, start, true), exact));
    const std::vector<A> unset(c.channels, A(NAN));
    const auto sum = column_sum<T>(c.rows, c.channels, broken, unset, false, 1);
    check_close(sum, close, {double(c.rows), 1});
    CHECK(same_bits(sum, column_sum<T>(c.rows, c.channels, broken, unset, false, 3)));
  }
}

TEST_CASE("column sums of a million rows keep their accuracy", "[reduce]") {
  const int rows = 1 << 20, channels = 3;
  // Equal terms are rounded the same way, so 256 of a chunk lose most. Chunks one after the other: ten times.
  const std::vector<float> sum = column_sum<float>(rows, channels, std::vector<float>(rows * channels, 0.1f),
                                                   std::vector<float>(channels), false);
  for (const float s : sum) CHECK(std::abs(s / (rows * double(0.1f)) - 1) < 64 * 0x1p-24);
}

TEST_CASE("the statistics of unit rows are the golden ones", "[reduce]") {
  const Statistics s = statistics(3, 4, golden_z2().at);
  CHECK(s.spread() / 2 == Approx(.384125555).margin(5e-10).epsilon(0));
  CHECK(length(s.mean) == Approx(.605986515).margin(5e-10).epsilon(0));
}

TEMPLATE_TEST_CASE("the statistics of unit rows follow the definition over all shapes", "[reduce]", float,
                   bf16, double) {
  using T = TestType;
  for (const MatrixCase& c : matrix_cases()) {
    if (c.real) continue;
    INFO(c.name);
    const auto x = random<T>(size_t(c.rows) * c.channels, 8);
    const Matrix u = unit_rows(matrix(c.rows, c.channels, x));
    std::vector<double> mean(c.channels), std(c.channels);
    for (int r = 0; r < c.rows; ++r)
      for (int j = 0; j < c.channels; ++j) mean[j] += u(r, j) / c.rows;
    for (int r = 0; r < c.rows; ++r)
      for (int j = 0; j < c.channels; ++j) std[j] += std::pow(u(r, j) - mean[j], 2) / c.rows;
    for (double& s : std) s = std::sqrt(s);
    const Statistics one = statistics(c.rows, c.channels, x, 1), three = statistics(c.rows, c.channels, x, 3);
    check_close(one.mean, mean, {double(c.rows), 1});
    check_close(one.std, std, {double(c.rows), 1});
    CHECK((same_bits(one.mean, three.mean) && same_bits(one.std, three.std)));
  }
}

TEST_CASE("spread is one for noise, zero for a collapse, and blind to length", "[reduce]") {
  const int rows = 500, channels = 64;
  auto x = std::vector<float>(rows * channels);
  for (int i = 0; i < rows * channels; ++i) {  // a sum of uniform numbers: near a normal one
    const auto part = random<float>(12, 100 + i);
    for (const float v : part) x[i] += v;
  }
  const double healthy = statistics(rows, channels, x).spread();
  CHECK(healthy > 0.99);
  CHECK(healthy <= 1);
  auto longer = x, same = x;
  for (int i = 0; i < rows * channels; ++i) {
    longer[i] *= static_cast<float>(1 + i / channels);
    same[i] = x[i % channels] * (1 + i / channels % 2);  // one direction, two lengths
  }
  CHECK(statistics(rows, channels, longer).spread() == Approx(healthy).epsilon(1e-6));
  CHECK(statistics(rows, channels, same).spread() < 1e-12);
  CHECK(statistics(rows, channels, std::vector<float>(rows * channels)).spread() == 0);
}
