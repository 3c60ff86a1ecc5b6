#pragma once
// Losses over pairs of rows: the cosine loss and the softmax similarity take the same tensors.
#include "bench/kernels/registry.h"
#include "tests/reference/rows.h"

namespace stopgrad::bench {

/// Which numbers of a row forward saves for backward, from p and z of that row.
template <class T>
struct Pairs {
  int pairs, rows, channels;

  int64_t count() const { return int64_t{rows} * channels; }
  std::string name() const { return fmt::format("p{}_r{}_c{}", pairs, rows, channels); }

  /// Rows that are not short: the first column lies in [0.5, 1.5).
  T* long_rows(Arena& a, uint64_t seed) const {
    T* const x = a.random<T>(count(), seed);
    for (int64_t i = 0; a.fills() && i < count(); i += channels)
      x[i] = test::from_double<T>(1 + 0.5 * test::to_double(x[i]));
    return x;
  }
  template <class Call>
  void place(Arena& a, Call& call) const {
    for (int k = 0; k < pairs; ++k) call.p[k] = long_rows(a, 10 + k), call.z[k] = long_rows(a, 20 + k);
  }
  test::Matrix matrix(const T* x) const {
    return {rows, channels, test::doubles(std::vector(x, x + count()))};
  }
};

}  // namespace stopgrad::bench
