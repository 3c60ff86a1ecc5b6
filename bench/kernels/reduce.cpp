// Reductions: sums in double, sums of columns, statistics of unit rows.
#include "kernels/reduce.h"

#include "bench/kernels/pairs.h"

namespace stopgrad::bench {
namespace {

template <class T>
struct Summing {
  int64_t count;

  std::string op() const { return "summary"; }
  std::string shape() const { return fmt::format("n{}", count); }
  stopgrad::Summary<T> make(Arena& a) const {
    return {count, a.random<T>(count, 1), a.output<double>(1), a.output<double>(1), a.output<int64_t>(1)};
  }
  void check(const stopgrad::Summary<T>& before, const stopgrad::Summary<T>& after, Comparison& c) const {
    long double sum = 0, squares = 0;
    for (int64_t i = 0; i < count; ++i) {
      const long double x = test::to_double(before.x[i]);
      sum += x, squares += x * x;
    }
    // Every addition rounds a partial sum: up to the whole one, and for random terms up to sqrt(count).
    const double n = double(count), drift = std::abs(double(sum)) + std::sqrt(n);
    c.close(
        "sum", after.sum, 1, [&](int64_t) { return double(sum); }, test::Tolerance<double>{n, drift});
    c.close(
        "squares", after.squares, 1, [&](int64_t) { return double(squares); },
        test::Tolerance<double>{n, double(squares)});
    c.equal("not_finite", after.not_finite, 1, [](int64_t) { return 0.0; });
  }
};

template <class T>
struct Columns {
  int rows, channels;

  std::string op() const { return "column_sum"; }
  std::string shape() const { return fmt::format("r{}_c{}", rows, channels); }
  ColumnSum<T> make(Arena& a) const {
    return {rows, channels, a.random<T>(int64_t{rows} * channels, 1), a.output<Acc<T>>(channels), false};
  }
  void check(const ColumnSum<T>& before, const ColumnSum<T>& after, Comparison& c) const {
    std::vector<double> sum(size_t(channels), 0.0);
    for (int64_t i = 0; i < int64_t{rows} * channels; ++i) sum[i % channels] += test::to_double(before.x[i]);
    c.close(
        "sum", after.sum, channels, [&](int64_t i) { return sum[i]; },
        test::Tolerance<Acc<T>>{double(rows), 1});
  }
};

template <class T>
struct UnitRows {
  int rows, channels;

  std::string op() const { return "unit_row_statistics"; }
  std::string shape() const { return fmt::format("r{}_c{}", rows, channels); }
  UnitRowStatistics<T> make(Arena& a) const {
    return {rows, channels, Pairs<T>{1, rows, channels}.long_rows(a, 1), a.output<double>(channels),
            a.output<double>(channels)};
  }
  void check(const UnitRowStatistics<T>& before, const UnitRowStatistics<T>& after, Comparison& c) const {
    const test::Matrix unit = test::unit_rows(Pairs<T>{1, rows, channels}.matrix(before.x));
    std::vector<double> mean(size_t(channels), 0.0), variance(size_t(channels), 0.0);
    for (size_t i = 0; i < unit.at.size(); ++i) mean[i % channels] += unit.at[i] / rows;
    for (size_t i = 0; i < unit.at.size(); ++i) {
      const double off = unit.at[i] - mean[i % channels];
      variance[i % channels] += off * off / rows;
    }
    const test::Tolerance<double> tolerance{double(rows) * channels, 1};
    c.close(
        "mean", after.mean, channels, [&](int64_t i) { return mean[i]; }, tolerance);
    // The root of a variance near zero magnifies its error.
    for (int i = 0; i < channels; ++i) {
      const double got = after.std[i];
      c.within("std squared", i, got * got, variance[i], tolerance.at(variance[i]));
    }
  }
};

template <class T>
void add(Registry& registry) {
  for (const test::FlatCase& c : registry.flat) registry.add<T>(Summing<T>{c.count}, c.count == 18'511'680);
  for (const test::MatrixCase& c : registry.matrices)
    registry.add<T>(Columns<T>{c.rows, c.channels}, c.rows == 65536);
  for (const test::MatrixCase& c : registry.heads)
    registry.add<T>(UnitRows<T>{c.rows, c.channels}, c.rows == 512 && c.channels == 2048);
}

}  // namespace

void add_reduce(Registry& registry) {
  add<float>(registry);
  add<bf16>(registry);
}

}  // namespace stopgrad::bench
