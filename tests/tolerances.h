#pragma once
// How far the outputs of larger formulas may be from the reference.
#include "kernels/conv2d.h"
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

inline int tiles(const ConvShape& s) { return s.images * ((s.height + 3) / 4) * ((s.width + 3) / 4); }

/// The growth of Winograd's rounding errors. A result is a sum over 36 positions of products of two
/// transformed numbers, weighted by a third matrix; per position, the sum goes over channels or tiles. In
/// place of terms of size 1 stand terms of, per dimension, max over rows i of sqrt(sum over k (third[i, k]
/// |first[k]| |second[k]|)^2) with Euclidean norms of the matrices' rows, for interpolation at 0, +-3/4,
/// +-3/2 and infinity; there are two dimensions.
inline constexpr double kGrowth = 5.13 * 5.13;        // third A^T, first G, second B^T
inline constexpr double kWeightGrowth = 5.36 * 5.36;  // third G^T, first A, second B^T

/// Of a convolution of numbers uniform in [-1, 1), directly or by Winograd's method.
template <class T>
struct ConvTolerances {
  Tolerance<T> y, dx;
  Tolerance<Acc<T>> dw;

  ConvTolerances(const ConvShape& s, bool winograd) {
    const double rms = 1 / 3.0;  // of products of two numbers uniform in [-1, 1)
    const double taps = s.kernel * s.kernel, outputs = double(s.images) * s.out_height() * s.out_width();
    const double growth = winograd ? kGrowth : 1, dw_growth = winograd ? kWeightGrowth : 1;
    y = tolerance_of_sequence<T>(winograd ? s.channels : taps * s.channels, growth * rms);
    dx = tolerance_of_sequence<T>(winograd ? s.out_channels : taps * s.out_channels, growth * rms);
    dw = tolerance_of_sequence<Acc<T>>(winograd ? tiles(s) : outputs, dw_growth * rms);
  }
};

}  // namespace stopgrad::test
