#pragma once
// Matrix product as its definition says, one element at a time; sums in long double, since double is
// among what they judge.
#include <cstddef>
#include <vector>

namespace stopgrad::test::reference {

/// Element (i, j) of op(a) op(b), where op(a) is [m, k] and op(b) [k, n].
inline double gemm(int m, int n, int k, bool transpose_a, bool transpose_b, const std::vector<double>& a,
                   const std::vector<double>& b, int i, int j) {
  const auto at = [](int row, int column, int columns) {
    return static_cast<size_t>(row) * columns + column;
  };
  long double sum = 0;
  for (int l = 0; l < k; ++l) {
    sum += 1.0L * a[transpose_a ? at(l, i, m) : at(i, l, k)] * b[transpose_b ? at(j, l, k) : at(l, j, n)];
  }
  return static_cast<double>(sum);
}

}  // namespace stopgrad::test::reference
