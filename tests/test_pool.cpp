#include "kernels/pool.h"

#include <limits>

#include "kernels/check.h"
#include "tests/compare.h"
#include "tests/pool_cases.h"

using namespace stopgrad;
using namespace stopgrad::test;

namespace {

template <class T>
struct MaxPoolData {
  const reference::MaxPool& s;
  std::vector<T> x, y, dy, dx;
  std::vector<uint8_t> winner;

  explicit MaxPoolData(const reference::MaxPool& shape) : s(shape) {
    x = integers<T>(size_t(s.images) * s.height * s.width * s.channels, 1, -3, 3);  // ties are common
    dy = integers<T>(size_t(s.images) * s.out_height() * s.out_width() * s.channels, 2);
    y.resize(dy.size());
    winner.resize(dy.size());
    dx.resize(x.size());
  }
  void forward(cpu::Context& context) {
    cpu::run(MaxPoolForward<T>{s.images, s.height, s.width, s.channels, s.kernel, s.stride, s.padding,
                               x.data(), y.data(), winner.data()},
             context);
  }
  void backward(cpu::Context& context, bool accumulate = false) {
    cpu::run(MaxPoolBackward<T>{s.images, s.height, s.width, s.channels, s.kernel, s.stride, s.padding,
                                dy.data(), winner.data(), dx.data(), accumulate},
             context);
  }
};

}  // namespace

TEST_CASE("max pooling of a 4x4 image agrees with the one worked by hand", "[pool]") {
  // 3x3 windows, stride 2, padding 1: rows and columns {0,1} and {1,2,3}.
  const reference::MaxPool shape{1, 4, 4, 1, 3, 2, 1};
  MaxPoolData<float> data(shape);
  data.x = {1, 5, 2, 0,  //
            5, 3, 8, 8,  //
            0, 1, 2, 8,  //
            9, 0, 0, 1};
  cpu::Context context(1);
  data.forward(context);
  CHECK(data.y == std::vector<float>{5, 8, 9, 8});
  CHECK(data.winner ==
        std::vector<uint8_t>{1 * 3 + 2, 2 * 3 + 1, 2 * 3 + 1, 0 * 3 + 1});  // first of equal ones
  data.dy = {1, 2, 4, 8};
  data.backward(context);
  CHECK(data.dx == std::vector<float>{0, 1, 0, 0,   //
                                      0, 0, 10, 0,  //
                                      0, 0, 0, 0,   //
                                      4, 0, 0, 0});
}

TEMPLATE_TEST_CASE("max pooling agrees with the naive reference exactly", "[pool]", float, bf16, double) {
  for (const PoolCase& c : pool_cases())
    for (const int threads : {1, 2, 3}) {
      INFO(c.name << " with " << threads << " threads");
      cpu::Context context(threads);
      MaxPoolData<TestType> data(c.shape);
      data.forward(context);
      const auto want = c.shape.forward(doubles(data.x));
      CHECK(doubles(data.y) == want.y);
      CHECK(data.winner == want.winner);
      data.backward(context);
      const std::vector<double> dx = c.shape.backward(doubles(data.dy), want.winner);
      CHECK(doubles(data.dx) == dx);
      data.backward(context, true);
      CHECK(doubles(data.dx) == [&] {
        std::vector<double> twice = dx;
        for (double& v : twice) v *= 2;
        return twice;
      }());
    }
}

TEMPLATE_TEST_CASE("the maximum of a window with NaN is NaN, and minus infinity can win", "[pool]", float,
                   bf16, double) {
  const reference::MaxPool shape{1, 2, 4, 3, 2, 2, 0};
  MaxPoolData<TestType> data(shape);
  const double infinity = std::numeric_limits<double>::infinity();
  for (size_t i = 0; i < data.x.size(); ++i) data.x[i] = from_double<TestType>(-infinity);
  data.x[shape.in(0, 0, 1, 1)] = from_double<TestType>(std::nan(""));
  data.x[shape.in(0, 1, 1, 1)] = from_double<TestType>(1);
  cpu::Context context(1);
  data.forward(context);
  const std::vector<double> y = doubles(data.y);
  CHECK(y[0] == -infinity);
  CHECK(std::isnan(y[1]));
  CHECK(y[4] == -infinity);
  CHECK(data.winner == std::vector<uint8_t>{0, 1, 0, 0, 0, 0});
}

TEST_CASE("max pooling refuses windows that could lie outside the image", "[pool]") {
  cpu::Context context(1);
  const reference::MaxPool beside{1, 4, 4, 1, 2, 1, 2}, large{1, 40, 40, 1, 17, 1, 0};
  MaxPoolData<float> a(beside), b(large);
  CHECK_THROWS_AS(a.forward(context), Error);
  CHECK_THROWS_AS(b.forward(context), Error);
}

TEMPLATE_TEST_CASE("average pooling takes the mean over pixels and spreads the gradient", "[pool]", float,
                   bf16, double) {
  const struct {
    int images, pixels, channels;
  } shapes[] = {{1, 1, 1}, {2, 16, 3}, {3, 49, 64}, {5, 7, 130}, {2, 1000, 17}};
  for (const auto& s : shapes)
    for (const int threads : {1, 2}) {
      INFO(s.images << " x " << s.pixels << " x " << s.channels << " with " << threads << " threads");
      cpu::Context context(threads);
      const size_t in = size_t(s.images) * s.pixels * s.channels, out = size_t(s.images) * s.channels;
      const auto x = random<TestType>(in, 1), dy = random<TestType>(out, 2);
      std::vector<TestType> y(out), dx(in, TestType(3.0f));
      cpu::run(AveragePoolForward<TestType>{s.images, s.pixels, s.channels, x.data(), y.data()}, context);
      std::vector<long double> sum(out);
      std::vector<double> mean(out), gradient(in), more(in);
      for (size_t i = 0; i < in; ++i) {
        const size_t o = i / (size_t(s.pixels) * s.channels) * s.channels + i % s.channels;
        sum[o] += to_double(x[i]);
        gradient[i] = to_double(dy[o]) / s.pixels;
        more[i] = gradient[i] + 3;
      }
      for (size_t o = 0; o < out; ++o) mean[o] = sum[o] / s.pixels;
      check_close(y, mean, Tolerance<TestType>{double(s.pixels), 1.0 / s.pixels});
      cpu::run(AveragePoolBackward<TestType>{s.images, s.pixels, s.channels, dy.data(), dx.data(), true},
               context);
      check_close(dx, more, Tolerance<TestType>{1, 3});
      cpu::run(AveragePoolBackward<TestType>{s.images, s.pixels, s.channels, dy.data(), dx.data(), false},
               context);
      check_close(dx, gradient, Tolerance<TestType>{1, 1.0 / s.pixels});
    }
}
