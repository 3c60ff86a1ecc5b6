// Rows of unit length and their gradient against the reference.
#include "kernels/normalize.h"

#include "bench/kernels/pairs.h"

namespace stopgrad::bench {
namespace {

template <class T>
struct Rows {
  int rows, channels;
  std::string shape() const { return fmt::format("r{}_c{}", rows, channels); }
  int64_t count() const { return int64_t{rows} * channels; }
  T* long_rows(Arena& a) const { return Pairs<T>{1, rows, channels}.long_rows(a, 1); }
  test::Matrix matrix(const T* x) const { return Pairs<T>{1, rows, channels}.matrix(x); }
};

template <class T>
struct Forward : Rows<T> {
  std::string op() const { return "normalize_fwd"; }
  NormalizeForward<T> make(Arena& a) const {
    return {this->rows, this->channels, this->long_rows(a), a.output<T>(this->count()),
            a.output<Acc<T>>(this->rows)};
  }
  void check(const NormalizeForward<T>& before, const NormalizeForward<T>& after, Comparison& c) const {
    const test::Matrix x = this->matrix(before.x), want = test::unit_rows(x);
    const double n = this->channels;
    c.close(
        "y", after.y, this->count(), [&](int64_t i) { return want.at[i]; }, test::Tolerance<T>{n, 1});
    const auto inverse = [&](int64_t r) { return want(int(r), 0) / x(int(r), 0); };
    c.close("inv_norm", after.inv_norm, this->rows, inverse, test::Tolerance<Acc<T>>{n, 2});
  }
};

template <class T>
struct Backward : Rows<T> {
  std::string op() const { return "normalize_bwd"; }
  NormalizeBackward<T> make(Arena& a) const {
    const T* const x = this->long_rows(a);  // for the comparison; the call does not read it
    T* const y = a.output<T>(this->count());
    auto* const inv_norm = a.output<Acc<T>>(this->rows);
    if (a.fills()) {
      const test::Matrix wide = this->matrix(x), unit = test::unit_rows(wide);
      for (int64_t i = 0; i < this->count(); ++i) y[i] = test::from_double<T>(unit.at[i]);
      for (int r = 0; r < this->rows; ++r) inv_norm[r] = static_cast<Acc<T>>(unit(r, 0) / wide(r, 0));
    }
    return {this->rows, this->channels, a.random<T>(this->count(), 2),
            y,          inv_norm,       a.output<T>(this->count()),
            false};
  }
  /// From the y and inv_norm that the call reads: dx = (dy - (dy . y) y) inv_norm.
  void check(const NormalizeBackward<T>& before, const NormalizeBackward<T>& after, Comparison& c) const {
    const test::Matrix dy = this->matrix(before.dy), y = this->matrix(before.y);
    std::vector<double> along(size_t(this->rows));
    for (int r = 0; r < this->rows; ++r)
      for (int k = 0; k < this->channels; ++k) along[r] += dy(r, k) * y(r, k);
    const auto want = [&](int64_t i) {
      const int64_t r = i / this->channels;
      return (dy.at[i] - along[r] * y.at[i]) * double(before.inv_norm[r]);
    };
    c.close("dx", after.dx, this->count(), want, test::Tolerance<T>{double(this->channels), 2});
  }
};

template <class T>
void add(Registry& registry) {
  for (const test::MatrixCase& shape : registry.heads) {
    const bool quick = shape.rows == 512 && shape.channels == 2048;
    registry.add<T>(Forward<T>{{shape.rows, shape.channels}}, quick);
    registry.add<T>(Backward<T>{{shape.rows, shape.channels}}, quick);
  }
}

}  // namespace

void add_normalize(Registry& registry) {
  add<float>(registry);
  add<bf16>(registry);
}

}  // namespace stopgrad::bench
