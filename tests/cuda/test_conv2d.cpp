#include "kernels/conv2d.h"
#include "tests/cases.h"
#include "tests/compare.h"
#include "tests/cuda/mirror.h"

using namespace stopgrad;
using namespace stopgrad::test;

namespace {

/// One convolution with all it reads and writes.
template <class T>
struct Layer {
  ConvShape s;
  std::vector<T> x, w, dy, y, dx;
  std::vector<Acc<T>> dw;

  Layer(const ConvShape& shape, bool whole) : s(shape) {
    const size_t in = size_t(s.images) * s.height * s.width * s.channels;
    const size_t out = size_t(s.images) * s.out_height() * s.out_width() * s.out_channels;
    const size_t weights = size_t(s.out_channels) * s.kernel * s.kernel * s.channels;
    x = whole ? integers<T>(in, 1) : random<T>(in, 1);
    w = whole ? integers<T>(weights, 2) : random<T>(weights, 2);
    dy = whole ? integers<T>(out, 3) : random<T>(out, 3);
    y.resize(out);
    dx.resize(in);
    dw.resize(weights);
  }
  /// Runs all three on a context; `at` says where memory lies.
  template <class Context, class At>
  void run_on(Context& context, const At& at, bool accumulate) {
    run(ConvForward<T>{s, at(x.data()), at(w.data()), at(y.data())}, context);
    run(ConvBackwardInput<T>{s, at(dy.data()), at(w.data()), at(dx.data()), accumulate}, context);
    run(ConvBackwardWeight<T>{s, at(x.data()), at(dy.data()), at(dw.data()), accumulate}, context);
  }
  void on_cpu(bool accumulate = false, int threads = 1) {
    cpu::Context context(threads);
    context.set_exact(true);
    run_on(
        context, [](auto* p) { return p; }, accumulate);
  }
  void on_device(bool accumulate = false) {
    if (!accumulate) {
      fill_nan(y);
      fill_nan(dx);
      fill_nan(dw);
    }
    Mirror mirror;
    mirror.add(x, w, dy, y, dx, dw);
    run_on(device(), mirror, accumulate);
    mirror.fetch();
  }
};

/// Sums of `products` whole numbers up to 4: the same bits, except where a GPU's float algorithm may be
/// Winograd's or FFT's, whose transforms round.
template <class T>
void check_whole(const std::vector<T>& got, const std::vector<T>& want, [[maybe_unused]] double products) {
#if !defined(STOPGRAD_EMULATE)
  if (std::is_same_v<T, float>) return check_close(got, doubles(want), Tolerance<T>{products, 4});
#endif
  CHECK(same_bits(got, want));
}

}  // namespace

TEMPLATE_TEST_CASE("convolution on CUDA is exact on whole numbers", "[cuda][conv2d]", float, bf16) {
  for (const ConvCase& shape : conv_cases()) {
    const ConvShape& s = shape.shape;
    if (!affordable(int64_t{s.images} * s.height * s.width * s.channels, shape.real)) continue;
    INFO(shape.name);
    Layer<TestType> want(s, true), got = want;
    want.on_cpu(false, shape.real ? 0 : 1);
    got.on_device();
    const double taps = double(s.kernel) * s.kernel;
    check_whole(got.y, want.y, taps * s.channels);
    check_whole(got.dx, want.dx, taps * s.out_channels);
    // In bf16 the library rounds the gradient of the weights once more.
    if constexpr (std::is_same_v<TestType, float>)
      check_whole(got.dw, want.dw, double(s.images) * s.out_height() * s.out_width());
    else
      for (size_t i = 0; i < got.dw.size(); ++i) REQUIRE(got.dw[i] == static_cast<float>(bf16(want.dw[i])));
  }
}

TEMPLATE_TEST_CASE("convolution on CUDA agrees with the CPU and adds to gradients", "[cuda][conv2d]", float,
                   bf16) {
  using A = Acc<TestType>;
  const ConvShape s{2, 5, 7, 16, 24, 3, 2, 1};
  Layer<TestType> want(s, false), got = want;
  want.dx = got.dx = random<TestType>(want.dx.size(), 7);
  want.dw = got.dw = random<A>(want.dw.size(), 8);
  want.on_cpu(true);
  got.on_device(true);
  const double products = double(s.kernel) * s.kernel;
  check_close(got.y, doubles(want.y), Tolerance<TestType>{products * s.channels + 1, 1});
  // Both sides round to the type of x here: twice half a spacing of the largest value.
  const Tolerance<TestType> dx{products * s.out_channels + 1, 1};
  for (size_t i = 0; i < got.dx.size(); ++i)
    REQUIRE(std::abs(to_double(got.dx[i]) - to_double(want.dx[i])) <=
            dx.at(to_double(want.dx[i])) + 0.5 * epsilon_of<TestType> * 16);
  const double rows = double(s.images) * s.out_height() * s.out_width();
  for (size_t i = 0; i < got.dw.size(); ++i)
    REQUIRE(std::abs(got.dw[i] - want.dw[i]) <=
            Tolerance<A>{rows + 1, 1}.at(want.dw[i]) +
                (std::is_same_v<TestType, float> ? 0 : 0.5 * epsilon_of<TestType> * rows));
}
