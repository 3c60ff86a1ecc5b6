#include "kernels/pool.h"

#include <limits>

#include "kernels/check.h"
#include "tests/compare.h"
#include "tests/cuda/mirror.h"
#include "tests/pool_cases.h"

using namespace stopgrad;
using namespace stopgrad::test;

namespace {

/// Arrays that begin at the start of their memory or, those in `late`, one element behind it; what lies
/// around them stays.
template <class T>
struct MaxPoolData {
  reference::MaxPool s;
  int late;  // 1: x and dy, 2: y and dx, 4: winner
  std::vector<T> x, y, dy, dx;
  std::vector<uint8_t> winner;

  explicit MaxPoolData(const reference::MaxPool& shape, int late = 0) : s(shape), late(late) {
    const size_t in = size_t(s.images) * s.height * s.width * s.channels,
                 out = size_t(s.images) * s.out_height() * s.out_width() * s.channels;
    x = integers<T>(in + 2, 1, -3, 3);  // ties are common
    dy = integers<T>(out + 2, 2);
    y.resize(out + 2);
    winner.resize(out + 2);
    dx.resize(in + 2);
    fill_nan(y);
    fill_nan(winner);
    fill_nan(dx);
  }
  MaxPoolForward<T> forward() {
    return {s.images,
            s.height,
            s.width,
            s.channels,
            s.kernel,
            s.stride,
            s.padding,
            x.data() + (late & 1),
            y.data() + (late >> 1 & 1),
            winner.data() + (late >> 2)};
  }
  MaxPoolBackward<T> backward(bool accumulate) {
    return {s.images,
            s.height,
            s.width,
            s.channels,
            s.kernel,
            s.stride,
            s.padding,
            dy.data() + (late & 1),
            winner.data() + (late >> 2),
            dx.data() + (late >> 1 & 1),
            accumulate};
  }
  void on_cpu(int additions) {
    cpu::Context context(1);
    cpu::run(forward(), context);
    for (int n = 0; n <= additions; ++n) cpu::run(backward(n > 0), context);
  }
  void on_device(int additions) {
    Mirror mirror;
    mirror.add(x, y, dy, dx, winner);
    auto f = forward();
    mirror.move(f.x, f.y, f.winner);
    run(f, device());
    for (int n = 0; n <= additions; ++n) {
      auto b = backward(n > 0);
      mirror.move(b.dy, b.winner, b.dx);
      run(b, device());
    }
    mirror.fetch();
  }
};

template <class T>
void check_same(const MaxPoolData<T>& data, int additions) {
  MaxPoolData<T> want = data, got = data;
  want.on_cpu(additions);
  got.on_device(additions);
  CHECK(same_bits(got.y, want.y));
  CHECK(got.winner == want.winner);
  CHECK(same_bits(got.dx, want.dx));
}

}  // namespace

TEMPLATE_TEST_CASE("max pooling on CUDA is the CPU's bit for bit", "[cuda][pool]", float, bf16) {
  for (const PoolCase& c : pool_cases()) {
    if (!affordable(int64_t{c.shape.height} * c.shape.width * c.shape.channels)) continue;
    for (const int late : {0, 1, 2, 4, 7}) {
      if (late != 0 && late != 7 && c.shape.channels % 8 != 0) continue;  // no packs in any case
      INFO(c.name << ", late " << late);
      MaxPoolData<TestType> data(c.shape, late);
      check_same(data, 0);
      data.dy = random<TestType>(data.dy.size(), 3);  // sums in the CPU's order
      check_same(data, 1);
    }
  }
}

TEMPLATE_TEST_CASE("the maximum of a window with NaN is NaN, and minus infinity can win on CUDA",
                   "[cuda][pool]", float, bf16) {
  const double infinity = std::numeric_limits<double>::infinity();
  for (const int kernel : {2, 3, 4})
    for (const int channels : {3, 8}) {
      INFO("kernel " << kernel << ", " << channels << " channels");
      const reference::MaxPool shape{1, 4, 8, channels, kernel, 2, 1};
      MaxPoolData<TestType> data(shape);
      for (auto& x : data.x) x = from_double<TestType>(-infinity);
      data.x[shape.in(0, 0, 1, 1)] = from_double<TestType>(std::nan(""));
      data.x[shape.in(0, 1, 1, 1)] = from_double<TestType>(1);
      MaxPoolData<TestType> want = data;
      want.on_cpu(0);
      data.on_device(0);
      CHECK(data.winner == want.winner);
      for (size_t i = 0; i < want.y.size(); ++i)
        if (std::isnan(to_double(want.y[i]))) CHECK(std::isnan(to_double(data.y[i])));
        else CHECK(to_double(data.y[i]) == to_double(want.y[i]));
    }
}

TEST_CASE("max pooling on CUDA refuses windows that could lie outside the image", "[cuda][pool]") {
  MaxPoolData<float> beside({1, 4, 4, 1, 2, 1, 2}), large({1, 40, 40, 1, 17, 1, 0});
  CHECK_THROWS_AS(beside.on_device(0), Error);
  CHECK_THROWS_AS(large.on_device(0), Error);
}

TEMPLATE_TEST_CASE("average pooling on CUDA is the CPU's bit for bit", "[cuda][pool]", float, bf16) {
  using T = TestType;
  const struct {
    int images, pixels, channels;
  } shapes[] = {{1, 1, 1}, {2, 16, 3}, {3, 49, 64}, {5, 7, 130}, {2, 1000, 17}, {70, 4, 16}, {1, 300, 8}};
  for (const auto& s : shapes) {
    if (!affordable(int64_t{s.images} * s.pixels * s.channels / 4)) continue;
    for (const int late : {0, 1, 2, 3})  // 1: x and dy, 2: y and dx
      for (const bool accumulate : {false, true}) {
        INFO(s.images << " x " << s.pixels << " x " << s.channels << ", late " << late << ", accumulate "
                      << accumulate);
        const int to_in = late & 1, to_out = late >> 1;
        const size_t in = size_t(s.images) * s.pixels * s.channels + 1,
                     out = size_t(s.images) * s.channels + 1;
        auto x = random<T>(in, 1), dy = random<T>(out, 2), dx = random<T>(in, 3);
        std::vector<T> y(out);
        fill_nan(y);
        if (!accumulate) fill_nan(dx);
        AveragePoolForward<T> f{s.images, s.pixels, s.channels, x.data() + to_in, y.data() + to_out};
        AveragePoolBackward<T> b{s.images,          s.pixels,           s.channels,
                                 dy.data() + to_in, dx.data() + to_out, accumulate};
        Mirror mirror;
        mirror.add(x, dy, y, dx);
        cpu::Context context(1);
        cpu::run(f, context);
        cpu::run(b, context);
        const auto want_y = y, want_dx = dx;
        mirror.move(f.x, f.y);
        run(f, device());
        mirror.move(b.dy, b.dx);
        run(b, device());
        mirror.fetch();
        CHECK(same_bits(y, want_y));
        CHECK(same_bits(dx, want_dx));
      }
  }
}
