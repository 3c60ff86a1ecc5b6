#include "kernels/reduce.h"

#include "tests/cuda/rows.h"

using namespace stopgrad;
using namespace stopgrad::test;

namespace {

struct Result {
  double sum, squares;
  int64_t not_finite;
};

/// `wanted`: which of the three numbers; the others keep their -1.
template <class T>
Result summary(std::vector<T> x, size_t skip = 0, std::vector<bool> wanted = {true, true, true}) {
  std::vector<double> sums = {-1, -1};
  std::vector<int64_t> not_finite = {-1};
  Mirror mirror;
  mirror.add(x, sums, not_finite);
  Summary<T> call{static_cast<int64_t>(x.size() - skip), x.empty() ? nullptr : x.data(),
                  wanted[0] ? &sums[0] : nullptr, wanted[1] ? &sums[1] : nullptr,
                  wanted[2] ? &not_finite[0] : nullptr};
  mirror.move(call.x, call.sum, call.squares, call.not_finite);
  if (skip) call.x += skip;
  run(call, device());
  mirror.fetch();
  return {sums[0], sums[1], not_finite[0]};
}

template <class T>
std::vector<float> column_sum(const MatrixCase& c, std::vector<T> x, std::vector<float> start,
                              bool accumulate, size_t skip = 0) {
  Mirror mirror;
  mirror.add(x, start);
  ColumnSum<T> call{c.rows, c.channels, x.data() + skip, start.data(), accumulate};
  mirror.move(call.x, call.sum);
  run(call, device());
  mirror.fetch();
  return start;
}

struct Statistics {
  std::vector<double> mean, std;
};

template <class T>
Statistics statistics(const MatrixCase& c, std::vector<T> x, size_t skip = 0) {
  Statistics s = {std::vector<double>(c.channels, NAN), std::vector<double>(c.channels, NAN)};
  Mirror mirror;
  mirror.add(x, s.mean, s.std);
  UnitRowStatistics<T> call{c.rows, c.channels, x.data() + skip, s.mean.data(), s.std.data()};
  mirror.move(call.x, call.mean, call.std);
  run(call, device());
  mirror.fetch();
  return s;
}

/// Column sums take rows in parts; these are several parts, narrow and wide.
std::vector<MatrixCase> column_cases() {
  auto cases = row_cases();
  if (affordable(10000)) cases.insert(cases.end(), {{"parts", 250, 40}, {"wide parts", 70, 264}});
  return cases;
}

}  // namespace

TEMPLATE_TEST_CASE("a summary of whole numbers is exact on CUDA", "[cuda][reduce]", float, bf16) {
  for (const size_t n : {0, 1, 31, 1023, 1025, 4099, 100003}) {
    if (!affordable(int64_t(n) / 4)) continue;
    INFO(n << " elements");
    const auto x = integers<TestType>(n, 1, -9, 9);
    double sum = 0, squares = 0;
    for (const TestType v : x) sum += to_double(v), squares += to_double(v) * to_double(v);
    const Result r = summary(x);
    CHECK(r.sum == sum);
    CHECK(r.squares == squares);
    CHECK(r.not_finite == 0);
  }
}

TEST_CASE("sums over floats are kept in double on CUDA", "[cuda][reduce]") {
  std::vector<float> x(4000, 1e-3f);
  x[7] = 1e8f;
  const Result r = summary(x);
  CHECK(r.sum == Approx(1e8 + 3999 * double(1e-3f)).epsilon(1e-14));
  CHECK(r.squares == Approx(1e16 + 3999 * double(1e-3f) * double(1e-3f)).epsilon(1e-14));
}

TEMPLATE_TEST_CASE("every NaN and infinity is counted on CUDA, wherever it stands", "[cuda][reduce]", float,
                   bf16) {
  using T = TestType;
  auto x = random<T>(affordable(20001) ? 20001 : 4501, 2, -1e30, 1e30);
  const double bad[] = {NAN, INFINITY, -INFINITY, -NAN};
  const size_t places[] = {0, 1, 31, 32, 4095, 4096, 4300, x.size() - 1};
  for (size_t i = 0; i < 8; ++i) x[places[i]] = from_double<T>(bad[i % 4]);
  CHECK(summary(x).not_finite == 8);
  x[2] = from_double<T>(to_double(std::numeric_limits<float>::max()) / 2);  // large, not infinite
  CHECK(summary(x).not_finite == 8);
  x.back() = x[2];
  CHECK(summary(x).not_finite == 7);
}

TEMPLATE_TEST_CASE("summaries on CUDA write what is asked for, with the same bits at any address",
                   "[cuda][reduce]", float, bf16) {
  for (const size_t n : {100, 9001}) {
    const auto x = random<TestType>(n, 4);
    const Result all = summary(x), moved = summary(skipping(1, x), 1);
    CHECK(same_bits<double>({all.sum, all.squares}, {moved.sum, moved.squares}));
    const Result none = summary(x, 0, {false, false, false}), squares = summary(x, 0, {false, true, false});
    CHECK((none.sum == -1 && none.squares == -1 && none.not_finite == -1));
    CHECK((squares.sum == -1 && squares.squares == all.squares && squares.not_finite == -1));
  }
}

TEMPLATE_TEST_CASE("column sums on CUDA are exact on whole numbers and close on random ones",
                   "[cuda][reduce]", float, bf16) {
  for (const MatrixCase& c : column_cases())
    for (const size_t skip : {0, 1}) {
      if (skip > 0 && c.rows >= 1000) continue;
      INFO(c.name << ", " << skip << " elements off");
      const size_t n = size_t(c.rows) * c.channels;
      const auto whole = integers<TestType>(n, 5), broken = random<TestType>(n, 6);
      const auto start = integers<float>(c.channels, 7);
      std::vector<float> exact = start;
      std::vector<double> close(c.channels);
      for (size_t i = 0; i < n; ++i) {
        exact[i % c.channels] += static_cast<float>(to_double(whole[i]));
        close[i % c.channels] += to_double(broken[i]);
      }
      CHECK(same_bits(column_sum(c, skipping(skip, whole), start, true, skip), exact));
      const std::vector<float> unset(c.channels, NAN);
      const auto sum = column_sum(c, skipping(skip, broken), unset, false, skip);
      check_close(sum, close, {double(c.rows), 1});
      CHECK(same_bits(sum, column_sum(c, skipping(skip, broken), unset, false, skip)));
    }
}

TEMPLATE_TEST_CASE("the statistics of unit rows on CUDA follow the definition over all shapes",
                   "[cuda][reduce]", float, bf16) {
  for (const MatrixCase& c : column_cases()) {
    const size_t skip = c.rows % 2;
    INFO(c.name << ", " << skip << " elements off");
    const auto x = random<TestType>(size_t(c.rows) * c.channels, 8);
    const Matrix u = unit_rows(matrix(c.rows, c.channels, x));
    std::vector<double> mean(c.channels), std(c.channels);
    for (int r = 0; r < c.rows; ++r)
      for (int j = 0; j < c.channels; ++j) mean[j] += u(r, j) / c.rows;
    for (int r = 0; r < c.rows; ++r)
      for (int j = 0; j < c.channels; ++j) std[j] += std::pow(u(r, j) - mean[j], 2) / c.rows;
    for (double& s : std) s = std::sqrt(s);
    const Statistics got = statistics(c, skipping(skip, x), skip);
    check_close(got.mean, mean, {double(c.rows), 1});
    check_close(got.std, std, {double(c.rows), 1});
  }
}

TEST_CASE("the statistics of unit rows on CUDA know a collapse and rows of zeros", "[cuda][reduce]") {
  const MatrixCase c = {"collapse", 37, 16};
  auto x = random<float>(size_t(c.rows) * c.channels, 9);
  for (int i = c.channels; i < c.rows * c.channels; ++i)  // one direction, two lengths
    x[i] = x[i % c.channels] * static_cast<float>(1 + i / c.channels % 2);
  for (const double s : statistics(c, x).std) CHECK(s < 1e-15);
  const Statistics zero = statistics(c, std::vector<float>(x.size()));
  for (int i = 0; i < c.channels; ++i) CHECK((zero.mean[i] == 0 && zero.std[i] == 0));
}
