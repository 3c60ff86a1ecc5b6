#include "kernels/normalize.h"

#include "tests/cuda/rows.h"

using namespace stopgrad;
using namespace stopgrad::test;

namespace {

/// Forward and backward, on the device or by the CPU's schedule.
template <class T>
struct Normalized {
  int rows, channels;
  std::vector<T> x, dy, dx = {};
  bool accumulate = false;
  size_t skip = 0;
  std::vector<T> y = {};
  std::vector<float> inv_norm = {};

  NormalizeForward<T> forward_call() {
    y = x;
    inv_norm.assign(rows, NAN);
    fill_nan(y);
    return {rows, channels, x.data() + skip, y.data() + skip, inv_norm.data()};
  }
  NormalizeBackward<T> backward_call() {
    if (!accumulate) dx = x, fill_nan(dx);
    return {rows, channels, dy.data() + skip, y.data() + skip, inv_norm.data(), dx.data() + skip, accumulate};
  }
  void on_device() {
    auto f = forward_call();
    auto b = backward_call();
    Mirror mirror;
    mirror.add(x, dy, dx, y, inv_norm);
    mirror.move(f.x, f.y, f.inv_norm, b.dy, b.y, b.inv_norm, b.dx);
    run(f, device());
    run(b, device());
    mirror.fetch();
  }
  void on_cpu() {
    cpu::Context context(1);
    run(forward_call(), context);
    run(backward_call(), context);
  }
};

}  // namespace

TEMPLATE_TEST_CASE("rows become unit vectors on CUDA and their gradient follows the formula",
                   "[cuda][normalize]", float, bf16) {
  using T = TestType;
  for (const MatrixCase& c : row_cases())
    for (const size_t skip : {0, 1}) {
      if (skip > 0 && c.rows >= 1000) continue;
      INFO(c.name << ", " << skip << " elements off");
      const auto x = long_rows<T>(c.rows, c.channels, 1), dy = random<T>(x.size(), 2),
                 old = random<T>(x.size(), 3);
      const Matrix wide = matrix(c.rows, c.channels, x);
      Normalized<T> got{c.rows, c.channels, skipping(skip, x), skipping(skip, dy)};
      got.skip = skip;
      got.on_device();
      check_close(after(skip, got.y), unit_rows(wide).at, {double(c.channels), 1});
      // The rounding of y to T enters the gradient through (dy . y) y, twice, scaled by 1/|x| <= 2.
      const double through_y = 4 * epsilon_of<T> / epsilon_of<float> / 8;
      const Tolerance<T> tolerance = {double(c.channels), 2 + through_y};
      auto want = unit_rows_gradient(wide, matrix(c.rows, c.channels, dy)).at;
      check_close(after(skip, got.dx), want, tolerance);

      auto added = got;
      added.dx = skipping(skip, old);
      added.accumulate = true;
      added.on_device();
      CHECK(same_bits(added.y, got.y));
      for (size_t i = 0; i < want.size(); ++i) want[i] += to_double(old[i]);
      check_close(after(skip, added.dx), want, tolerance);
    }
}

TEMPLATE_TEST_CASE("normalising whole numbers and rows below the floor is the CPU's on CUDA",
                   "[cuda][normalize]", float, bf16) {
  using T = TestType;
  for (const int channels : {33, 64, 200, 1032}) {
    INFO(channels << " channels");
    Normalized<T> got{5, channels, integers<T>(5 * size_t(channels), 4),
                      integers<T>(5 * size_t(channels), 5)};
    for (int c = 0; c < channels; ++c) {
      got.x[c] = from_double<T>(0x1p-70 * (c % 3 - 1));  // row 0 is short, row 1 is zero, row 2 one number
      got.x[channels + c] = T(0.0f);
      got.x[2 * channels + c] = T(c == channels - 1 ? -4.0f : 0.0f);
    }
    auto want = got;
    got.on_device();
    want.on_cpu();
    CHECK(same_bits(got.inv_norm, want.inv_norm));
    CHECK(same_bits(got.y, want.y));
    for (const int row : {0, 1, 2})  // dy . y is exact there
      for (int c = 0; c < channels; ++c)
        CHECK(to_double(got.dx[row * channels + c]) == to_double(want.dx[row * channels + c]));
  }
}

TEST_CASE("normalising on CUDA does not hide NaN and gives the same bits twice", "[cuda][normalize]") {
  for (const int channels : {40, 136}) {
    Normalized<float> first{3, channels, random<float>(3 * size_t(channels), 6),
                            random<float>(3 * size_t(channels), 7)};
    first.x[channels + 5] = NAN;
    auto second = first;
    first.on_device();
    second.on_device();
    for (int i = 0; i < 3 * channels; ++i) {
      CHECK(std::isnan(first.y[i]) == (i / channels == 1));
      CHECK(std::isnan(first.dx[i]) == (i / channels == 1));
    }
    CHECK(same_bits(first.y, second.y));
    CHECK(same_bits(first.dx, second.dx));
  }
}
