#pragma once
// How far the outputs of larger formulas may be from the reference.
#include "tests/numbers.h"
#include "tests/reference/batch_norm.h"

namespace stopgrad::test {

template <class V>
inline double largest(const V& values, double if_empty = 0) {
  double worst = values.empty() ? if_empty : 0;
  for (const auto v : values) worst = std::max(worst, std::abs(to_double(v)));
  return worst;
}

/// Of batch norm, forward and backward. The scales are what rounding errors are relative to: an error of the
/// mean is relative to |x|, and 1 / std makes it an error of xhat.
template <class T>
struct BatchNormTolerances {
  using A = Acc<T>;
  Tolerance<A> mean, rstd;
  Tolerance<T> y, dx;
  Tolerance<A> dgamma, dbeta;

  BatchNormTolerances(const reference::BatchNorm& want, const std::vector<double>& dy_values) {
    const double n = want.rows, all = n * want.groups, most_rstd = largest(want.rstd());
    const double gamma = largest(want.gamma, 1), dy_most = largest(dy_values), x = largest(want.x);
    const double spread = x * most_rstd, xhat = largest(want.normalized());
    mean = {n, x};
    rstd = {n, most_rstd};
    y = {n, gamma * spread + largest(want.beta) + largest(want.residual)};
    dx = {n, gamma * most_rstd * dy_most * (1 + xhat * spread)};
    dgamma = {all, dy_most * spread};
    dbeta = {all, dy_most};
  }
};

}  // namespace stopgrad::test
