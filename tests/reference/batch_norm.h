#pragma once
// Batch norm as in Ioffe and Szegedy 2015, in double and without any cleverness.
#include <cmath>
#include <vector>

namespace stopgrad::test::reference {

/// Rows are cut into `groups` equal parts, each with statistics of its own. Empty vectors are absent.
struct BatchNorm {
  int groups, rows, channels;  // rows of one group
  double eps;
  std::vector<double> x, gamma, beta, residual;
  bool relu;

  size_t size() const { return x.size(); }
  size_t channel(size_t i) const { return i % static_cast<size_t>(channels); }
  size_t statistic(size_t i) const {  // index into [groups, channels] of element i
    return i / (static_cast<size_t>(rows) * channels) * channels + channel(i);
  }
  double scale(size_t i) const { return gamma.empty() ? 1 : gamma[channel(i)]; }

  /// Mean of term(i) over the rows of a group. Summed in long double: the judge must be better than the
  /// judged.
  template <class F>
  std::vector<double> mean_of(F term) const {
    std::vector<long double> sum(static_cast<size_t>(groups) * channels);
    for (size_t i = 0; i < size(); ++i) sum[statistic(i)] += term(i);
    for (long double& s : sum) s /= rows;
    return {sum.begin(), sum.end()};
  }
  std::vector<double> mean() const {
    return mean_of([&](size_t i) { return x[i]; });
  }
  std::vector<double> variance() const {  // biased
    const std::vector<double> m = mean();
    return mean_of([&](size_t i) { return (x[i] - m[statistic(i)]) * (x[i] - m[statistic(i)]); });
  }
  std::vector<double> rstd() const {
    std::vector<double> r = variance();
    for (double& v : r) v = 1 / std::sqrt(v + eps);
    return r;
  }
  std::vector<double> normalized() const {
    const std::vector<double> m = mean(), r = rstd();
    std::vector<double> out(size());
    for (size_t i = 0; i < size(); ++i) out[i] = (x[i] - m[statistic(i)]) * r[statistic(i)];
    return out;
  }
  std::vector<double> forward() const {
    std::vector<double> y = normalized();
    for (size_t i = 0; i < size(); ++i) {
      y[i] = y[i] * scale(i) + (beta.empty() ? 0 : beta[channel(i)]) + (residual.empty() ? 0 : residual[i]);
      if (relu && y[i] < 0) y[i] = 0;
    }
    return y;
  }

  struct Gradients {
    std::vector<double> dx, dgamma, dbeta, dresidual;
  };
  /// `y` tells where the ReLU let a value pass.
  Gradients backward(const std::vector<double>& dy, const std::vector<double>& y) const {
    const std::vector<double> xhat = normalized(), r = rstd();
    Gradients g{std::vector<double>(size()), std::vector<double>(channels), std::vector<double>(channels),
                dy};
    for (size_t i = 0; i < size(); ++i)
      if (relu && !(y[i] > 0)) g.dresidual[i] = 0;
    const std::vector<double> sum = mean_of([&](size_t i) { return g.dresidual[i]; });
    const std::vector<double> dot = mean_of([&](size_t i) { return g.dresidual[i] * xhat[i]; });
    for (size_t i = 0; i < sum.size(); ++i) {
      g.dbeta[channel(i)] += rows * sum[i];
      g.dgamma[channel(i)] += rows * dot[i];
    }
    for (size_t i = 0; i < size(); ++i) {
      const size_t s = statistic(i);
      g.dx[i] = scale(i) * r[s] * (g.dresidual[i] - sum[s] - xhat[i] * dot[s]);
    }
    return g;
  }
};

}  // namespace stopgrad::test::reference
