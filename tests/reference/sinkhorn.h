#pragma once
// Codes as SwAV's code computes them, in double: sums and divisions of q itself.
#include "tests/reference/rows.h"

namespace stopgrad::test {

inline Matrix sinkhorn(const Matrix& scores, double epsilon, int iterations) {
  Matrix q = scores;
  double most = -INFINITY, all = 0;
  for (double s : scores.at) most = std::max(most, s);
  for (double& v : q.at) v = std::exp((v - most) / epsilon), all += v;
  for (double& v : q.at) v /= all;
  for (int t = 0; t < iterations; ++t) {
    for (int j = 0; j < q.channels; ++j) {
      double sum = 0;
      for (int i = 0; i < q.rows; ++i) sum += q(i, j);
      for (int i = 0; i < q.rows; ++i) q(i, j) /= sum * q.channels;
    }
    for (int i = 0; i < q.rows; ++i) {
      double sum = 0;
      for (int j = 0; j < q.channels; ++j) sum += q(i, j);
      for (int j = 0; j < q.channels; ++j) q(i, j) /= sum * q.rows;
    }
  }
  for (double& v : q.at) v *= q.rows;
  return q;
}

/// The prototypes of the golden vectors: norm(sin(.2 + .9m + 1.1j)), m = 0..4
inline Matrix golden_prototypes() {
  Matrix c = {5, 4, std::vector<double>(20)};
  for (int m = 0; m < 5; ++m)
    for (int j = 0; j < 4; ++j) c(m, j) = std::sin(.2 + .9 * m + 1.1 * j);
  return unit_rows(c);
}

/// Cosines of the rows of z and c.
inline Matrix cosines(const Matrix& z, const Matrix& c) {
  const Matrix u = unit_rows(z), v = unit_rows(c);
  Matrix s = {z.rows, c.rows, std::vector<double>(size_t(z.rows) * c.rows)};
  for (int i = 0; i < z.rows; ++i)
    for (int j = 0; j < c.rows; ++j)
      for (int k = 0; k < z.channels; ++k) s(i, j) += u(i, k) * v(j, k);
  return s;
}

}  // namespace stopgrad::test
