#include "kernels/reduce.h"

#include <bit>

#include "kernels/loops.h"

namespace stopgrad::cpu {

namespace {
constexpr int64_t kBlock = 4096;  // elements whose sums stay in the first cache

// An exponent of ones marks NaN and infinity. Asked of the bits, no compiler flag can optimise it away.
// By pointer, as in element.h.
bool is_not_finite(const float* x) { return (std::bit_cast<uint32_t>(*x) & 0x7f800000u) == 0x7f800000u; }
bool is_not_finite(const bf16* x) { return (x->bits & 0x7f80u) == 0x7f80u; }
bool is_not_finite(const double* x) { return (std::bit_cast<uint64_t>(*x) << 1) >= 0xffe0000000000000u; }

template <class T>
double load_double(const T* x) {
  return static_cast<double>(load_element(x));
}
template <class T>
double load_square(const T* x) {
  return load_double(x) * load_double(x);
}

struct Part {
  double sum, squares;
  int64_t not_finite;
};

/// What is asked of x [n]. Squares of float and bf16 do not overflow in double, so a finite sum of them says
/// that all are finite.
template <class T>
Part part_of(const Summary<T>& asked, const T* x, int n) {
  Part part = {};
  if (asked.squares) {
    const auto [sum, squares] = sums_over<double, 2>(n, [=](int i) {
      const double value = load_double(x + i);
      return std::array<double, 2>{value, value * value};
    });
    part.sum = sum, part.squares = squares;
  } else if (asked.sum) {
    part.sum = sum_over<double>(n, [=](int i) { return load_double(x + i); });
  }
  if (asked.not_finite && !(asked.squares && std::isfinite(part.squares)))
    part.not_finite = sum_over<int>(n, [=](int i) { return int{is_not_finite(x + i)}; });
  return part;
}
}  // namespace

template <class T>
void run(const Summary<T>& c, Context& context) {
  const int64_t blocks = (c.count + kBlock - 1) / kBlock;
  Part* parts = context.scratch_of<Part>(blocks);
  each_row(blocks, c.count, context, [=](int64_t block) {
    const int64_t first = block * kBlock;
    parts[block] = part_of(c, c.x + first, static_cast<int>(std::min(kBlock, c.count - first)));
  });
  Part all = {};
  for (int64_t block = 0; block < blocks; ++block) {
    all.sum += parts[block].sum;
    all.squares += parts[block].squares;
    all.not_finite += parts[block].not_finite;
  }
  if (c.sum) *c.sum = all.sum;
  if (c.squares) *c.squares = all.squares;
  if (c.not_finite) *c.not_finite = all.not_finite;
}

namespace {
/// Sums per column over the rows of a matrix, chunk by chunk, then over the chunks in pairs: short sums are
/// more exact.
template <class A>
class ColumnSums {
 public:
  ColumnSums(int rows, int channels)
      : rows_(rows),
        channels_(channels),
        per_chunk_(std::clamp<int64_t>(16384 / channels, 32, 256)),
        chunks_((rows + per_chunk_ - 1) / per_chunk_) {}

  size_t scratch_size() const { return static_cast<size_t>(chunks_ * channels_); }

  /// add(row, sums) adds one row to sums [channels]. The result [channels] lies at the start of scratch.
  template <class Add>
  void run(A* scratch, Context& context, Add add) const {
    each_row(chunks_, rows_ * channels_, context, [=, this](int64_t chunk) {
      A* sums = scratch + chunk * channels_;
      std::fill(sums, sums + channels_, A(0));
      const int64_t last = std::min(rows_, (chunk + 1) * per_chunk_);
      for (int64_t row = chunk * per_chunk_; row < last; ++row) add(row, sums);
    });
    join_pairwise(static_cast<int>(chunks_), [=, this](int a, int b, int) {
      A* const sums = scratch + a * channels_;
      const A* const others = scratch + b * channels_;
      each_column(static_cast<int>(channels_), [=](int i) { sums[i] += others[i]; });
    });
  }

 private:
  int64_t rows_, channels_, per_chunk_, chunks_;
};
}  // namespace

template <class T>
void run(const ColumnSum<T>& c, Context& context) {
  using A = Acc<T>;
  const ColumnSums<A> columns(c.rows, c.channels);
  A* sums = context.scratch_of<A>(columns.scratch_size());
  columns.run(sums, context, [=](int64_t row, A* to) {
    const T* x = c.x + row * c.channels;
    each_column(c.channels, [=](int i) { to[i] += load_element(x + i); });
  });
  each_column(c.channels, [=](int i) { put(c.sum[i], sums[i], c.accumulate); });
}

template <class T>
void run(const UnitRowStatistics<T>& c, Context& context) {
  const ColumnSums<double> columns(c.rows, c.channels);
  double* inv_norm = context.scratch_of<double>(c.rows + columns.scratch_size());
  double* sums = inv_norm + c.rows;
  columns.run(sums, context, [=](int64_t row, double* to) {
    const T* x = c.x + row * c.channels;
    const double squares = sum_over<double>(c.channels, [=](int i) { return load_square(x + i); });
    const double inv = inverse_norm(squares);
    inv_norm[row] = inv;
    each_column(c.channels, [=](int i) { to[i] += load_double(x + i) * inv; });
  });
  each_column(c.channels, [=](int i) { c.mean[i] = sums[i] / c.rows; });
  columns.run(sums, context, [=](int64_t row, double* to) {
    const T* x = c.x + row * c.channels;
    const double inv = inv_norm[row];
    each_column(c.channels, [=](int i) {
      const double off = load_double(x + i) * inv - c.mean[i];
      to[i] += off * off;
    });
  });
  each_column(c.channels, [=](int i) { c.std[i] = std::sqrt(sums[i] / c.rows); });
}

template void run(const Summary<float>&, Context&);
template void run(const Summary<bf16>&, Context&);
template void run(const Summary<double>&, Context&);
template void run(const ColumnSum<float>&, Context&);
template void run(const ColumnSum<bf16>&, Context&);
template void run(const ColumnSum<double>&, Context&);
template void run(const UnitRowStatistics<float>&, Context&);
template void run(const UnitRowStatistics<bf16>&, Context&);
template void run(const UnitRowStatistics<double>&, Context&);

}  // namespace stopgrad::cpu
