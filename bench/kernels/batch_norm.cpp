// Batch norm: forward, backward and inference against the naive reference, over a sample of channels of which
// every row is compared.
#include "kernels/batch_norm.h"

#include "bench/kernels/baseline.h"
#include "bench/kernels/registry.h"
#include "tests/tolerances.h"

namespace stopgrad::bench {
namespace {

constexpr double kEps = 1e-5;

/// Rows of all groups, and what is fused into the call.
struct Shape {
  int groups, rows, channels;  // rows of one group
  bool relu, residual;

  int64_t count() const { return int64_t{groups} * rows * channels; }
  std::string name() const {
    return fmt::format("{}r{}_c{}{}{}", groups > 1 ? fmt::format("g{}_", groups) : "", rows, channels,
                       relu ? "_relu" : "", residual ? "_res" : "");
  }
};

/// Up to four channels of a matrix, as a matrix of its own.
struct Columns {
  const Shape& shape;
  int stride = std::max(1, (shape.channels - 1) / 3);

  int count() const { return std::min(4, (shape.channels - 1) / stride + 1); }
  int64_t rows() const { return int64_t{shape.groups} * shape.rows; }
  /// Where element i of the small matrix lies in the large one.
  int64_t at(int64_t i) const { return i / count() * shape.channels + i % count() * stride; }
  template <class T>
  std::vector<double> of(const T* x, int64_t rows) const {
    std::vector<double> out(x == nullptr ? 0 : static_cast<size_t>(rows * count()));
    for (size_t i = 0; i < out.size(); ++i) out[i] = test::to_double(x[at(int64_t(i))]);
    return out;
  }
  template <class T>
  std::vector<double> of(const T* x) const {
    return of(x, rows());
  }
  template <class T>
  void compare(const char* output, const T* got, const std::vector<double>& want,
               const test::Tolerance<T>& tolerance, Comparison& comparison) const {
    if (got == nullptr) return;
    const std::vector<double> sample = of(got, int64_t(want.size()) / count());
    for (size_t i = 0; i < want.size(); ++i) {
      const T value = test::from_double<T>(sample[i]);
      comparison.close(
          output, &value, 1, [&](int64_t) { return want[i]; }, tolerance);
    }
    comparison.written(output, got, int64_t(want.size()) / count() * shape.channels);
  }
};

template <class T>
struct Forward {
  Shape shape_;

  std::string op() const { return "batch_norm_fwd"; }
  std::string shape() const { return shape_.name(); }
  BatchNormForward<T> make(Arena& a) const {
    using A = Acc<T>;
    const auto& [groups, rows, channels, relu, residual] = shape_;
    return {.groups = groups,
            .rows = rows,
            .channels = channels,
            .eps = A(kEps),
            .momentum = A(0.1),
            .x = a.random<T>(shape_.count(), 1),
            .gamma = a.random<A>(channels, 3, 0.5, 1.5),
            .beta = a.random<A>(channels, 4, -0.5, 0.5),
            .residual = residual ? a.random<T>(shape_.count(), 5) : nullptr,
            .relu = relu,
            .y = a.output<T>(shape_.count()),
            .mean = a.output<A>(groups * channels),
            .rstd = a.output<A>(groups * channels),
            .running_mean = a.random<A>(channels, 6, -0.1, 0.1),
            .running_var = a.random<A>(channels, 7, 0.5, 1.5)};
  }
  void check(const BatchNormForward<T>& before, const BatchNormForward<T>& after, Comparison& c) const {
    const Columns columns{shape_};
    const auto& s = shape_;
    const test::reference::BatchNorm want{s.groups,
                                          s.rows,
                                          columns.count(),
                                          kEps,
                                          columns.of(before.x),
                                          columns.of(before.gamma, 1),
                                          columns.of(before.beta, 1),
                                          columns.of(before.residual),
                                          s.relu};
    const test::BatchNormTolerances<T> tolerances(want, {});
    columns.compare("mean", after.mean, want.mean(), tolerances.mean, c);
    columns.compare("rstd", after.rstd, want.rstd(), tolerances.rstd, c);
    columns.compare("y", after.y, want.forward(), tolerances.y, c);
    std::vector<double> mean = columns.of(before.running_mean, 1), var = columns.of(before.running_var, 1);
    const auto group_mean = want.mean(), group_var = want.variance();
    for (size_t i = 0; i < group_mean.size(); ++i) {
      const size_t channel = i % mean.size();
      mean[channel] = 0.9 * mean[channel] + 0.1 * group_mean[i];
      var[channel] = 0.9 * var[channel] + 0.1 * group_var[i] * s.rows / (s.rows - 1);
    }
    columns.compare("running_mean", after.running_mean, mean, tolerances.mean, c);
    columns.compare("running_var", after.running_var, var, {double(s.rows), 2}, c);
  }
};

template <class T>
struct Inference {
  Shape shape_;

  std::string op() const { return "batch_norm_inference"; }
  std::string shape() const { return shape_.name(); }
  BatchNormInference<T> make(Arena& a) const {
    using A = Acc<T>;
    const int channels = shape_.channels;
    return {.rows = shape_.rows,
            .channels = channels,
            .eps = A(kEps),
            .x = a.random<T>(shape_.count(), 1),
            .gamma = a.random<A>(channels, 3, 0.5, 1.5),
            .beta = a.random<A>(channels, 4, -0.5, 0.5),
            .residual = shape_.residual ? a.random<T>(shape_.count(), 5) : nullptr,
            .relu = shape_.relu,
            .running_mean = a.random<A>(channels, 6, -0.1, 0.1),
            .running_var = a.random<A>(channels, 7, 0.5, 1.5),
            .y = a.output<T>(shape_.count())};
  }
  void check(const BatchNormInference<T>& before, const BatchNormInference<T>& after, Comparison& c) const {
    const auto want = [&](int64_t i) {
      const int64_t channel = i % shape_.channels;
      const double rstd = 1 / std::sqrt(before.running_var[channel] + kEps);
      const double y =
          before.gamma[channel] * (test::to_double(before.x[i]) - before.running_mean[channel]) * rstd +
          before.beta[channel] + (before.residual ? test::to_double(before.residual[i]) : 0);
      return shape_.relu ? std::max(y, 0.0) : y;
    };
    c.close("y", after.y, shape_.count(), want, test::Tolerance<T>{1, 1.5 * 1.5 * 1.1 + 1.5},
            sample_step(shape_.count(), 1 << 20));
    c.written("y", after.y, shape_.count());
  }
};

template <class T>
struct Backward {
  Shape shape_;
  bool accumulate_ = false;  // onto zeros, so that the same is expected; the tests of kernels/ add to numbers

  std::string op() const { return accumulate_ ? "batch_norm_bwd_acc" : "batch_norm_bwd"; }
  std::string shape() const { return shape_.name(); }
  BatchNormBackward<T> make(Arena& a) const {
    using A = Acc<T>;
    const int64_t channels = shape_.channels, statistics = shape_.groups * channels;
    T* const x = a.random<T>(shape_.count(), 1);
    const T* const residual = shape_.residual ? a.random<T>(shape_.count(), 5) : nullptr;
    A* const gamma = a.random<A>(channels, 3, 0.5, 1.5);
    A* const beta = a.random<A>(channels, 4, -0.5, 0.5);
    A *const mean = a.output<A>(statistics), *const rstd = a.output<A>(statistics);
    T* const y = a.output<T>(shape_.relu && shape_.residual ? shape_.count() : 0);
    if (a.fills()) prepare(x, residual, gamma, beta, mean, rstd, y);
    return {.groups = shape_.groups,
            .rows = shape_.rows,
            .channels = shape_.channels,
            .dy = a.random<T>(shape_.count(), 2),
            .x = x,
            .y = shape_.relu && shape_.residual ? y : nullptr,
            .gamma = gamma,
            .beta = beta,
            .mean = mean,
            .rstd = rstd,
            .relu = shape_.relu,
            .has_residual = shape_.residual,
            .dx = accumulate_ ? a.random<T>(shape_.count(), 8, 0, 0) : a.output<T>(shape_.count()),
            .accumulate_dx = accumulate_,
            .dgamma = a.output<A>(channels),
            .accumulate_dgamma = false,
            .dbeta = a.output<A>(channels),
            .accumulate_dbeta = false,
            .dresidual = shape_.residual ? a.output<T>(shape_.count()) : nullptr,
            .accumulate_dresidual = false};
  }
  void check(const BatchNormBackward<T>& before, const BatchNormBackward<T>& after, Comparison& c) const {
    const Columns columns{shape_};
    const auto& s = shape_;
    const std::vector<double> dy = columns.of(before.dy);
    const test::reference::BatchNorm want{s.groups,
                                          s.rows,
                                          columns.count(),
                                          kEps,
                                          columns.of(before.x),
                                          columns.of(before.gamma, 1),
                                          columns.of(before.beta, 1),
                                          {},
                                          s.relu};
    const std::vector<double> y = s.residual ? columns.of(before.y) : want.forward();
    const auto gradients = want.backward(dy, y);
    const test::BatchNormTolerances<T> tolerances(want, dy);
    columns.compare("dx", after.dx, gradients.dx, tolerances.dx, c);
    columns.compare("dgamma", after.dgamma, gradients.dgamma, c.sum(tolerances.dgamma), c);
    columns.compare("dbeta", after.dbeta, gradients.dbeta, c.sum(tolerances.dbeta), c);
    columns.compare("dresidual", after.dresidual, gradients.dresidual, {1, 1e-12}, c);
  }

 private:
  /// What forward would have left: statistics, and y where it is read. No value lies so near to the ReLU's
  /// kink that rounding decides on which side: such an x is moved.
  void prepare(T* x, const T* residual, const Acc<T>* gamma, const Acc<T>* beta, Acc<T>* mean, Acc<T>* rstd,
               T* y) const {
    const int64_t channels = shape_.channels, group = shape_.rows * channels;
    for (const bool move : {true, false}) {
      for (int g = 0; g < shape_.groups; ++g)
        statistics(x + g * group, mean + g * channels, rstd + g * channels);
      for (int64_t i = 0; i < shape_.count(); ++i) {
        const int64_t channel = i % channels, s = i / group * channels + channel;
        const double value = gamma[channel] * (test::to_double(x[i]) - mean[s]) * rstd[s] + beta[channel] +
                             (residual ? test::to_double(residual[i]) : 0);
        if (move && std::abs(value) < 1e-3) x[i] = test::from_double<T>(test::to_double(x[i]) + 0.0625);
        if (!move && shape_.relu && shape_.residual) y[i] = test::from_double<T>(std::max(value, 0.0));
      }
    }
  }
  void statistics(const T* x, Acc<T>* mean, Acc<T>* rstd) const {
    std::vector<double> sum(shape_.channels), squares(shape_.channels);
    for (int64_t r = 0; r < shape_.rows; ++r)
      for (int c = 0; c < shape_.channels; ++c) {
        const double v = test::to_double(x[r * shape_.channels + c]);
        sum[c] += v, squares[c] += v * v;
      }
    for (int c = 0; c < shape_.channels; ++c) {
      const double m = sum[c] / shape_.rows;
      mean[c] = static_cast<Acc<T>>(m);
      rstd[c] = static_cast<Acc<T>>(1 / std::sqrt(squares[c] / shape_.rows - m * m + kEps));
    }
  }
};

template <class T>
void add(Registry& registry) {
  for (const test::MatrixCase& c : registry.matrices) {
    const bool quick = c.rows == 65536 || c.rows == 1024;
    for (const Shape& s :
         {Shape{1, c.rows, c.channels, false, false}, Shape{1, c.rows, c.channels, true, false},
          Shape{1, c.rows, c.channels, true, true}}) {
      const bool usual = quick && s.relu && !s.residual;
      registry.add<T>(Forward<T>{s}, usual, Limit::copy, &library_batch_norm<T, BatchNormForward>);
      registry.add<T>(Backward<T>{s}, usual, Limit::copy, &library_batch_norm<T, BatchNormBackward>);
      registry.add<T>(Inference<T>{s}, false);
    }
    registry.add<T>(Backward<T>{{1, c.rows, c.channels, true, false}, true}, false);
  }
  for (const test::MatrixCase& c : registry.view_pairs) {  // both views of a batch in one call
    registry.add<T>(Forward<T>{{2, c.rows, c.channels, true, false}}, false);
    registry.add<T>(Backward<T>{{2, c.rows, c.channels, true, false}}, false);
  }
}

}  // namespace

void add_batch_norm(Registry& registry) {
  add<float>(registry);
  add<bf16>(registry);
}

}  // namespace stopgrad::bench
