#include "kernels/elementwise.h"

#include <limits>

#include "tests/cases.h"
#include "tests/compare.h"

using namespace stopgrad;
using namespace stopgrad::test;

namespace {
// One, a vector's tail, many vectors and a tail, enough for threads.
const std::vector<int64_t> counts = {1, 7, 1003, 70001};

template <class T>
std::vector<T> expected(const std::vector<double>& x) {
  std::vector<T> out;
  for (double v : x) out.push_back(from_double<T>(v));
  return out;
}
}  // namespace

TEMPLATE_TEST_CASE("add and scale are exact on small whole numbers", "[elementwise]", float, bf16, double) {
  using T = TestType;
  for (const int threads : {1, 3}) {
    for (const int64_t n : counts) {
      INFO(n << " elements, " << threads << " threads");
      cpu::Context context(threads);
      const auto a = integers<T>(n, 1, -8, 8), b = integers<T>(n, 2, -8, 8);
      std::vector<double> sum(n), twice(n), more(n);
      for (int64_t i = 0; i < n; ++i) {
        sum[i] = to_double(a[i]) + to_double(b[i]);
        twice[i] = 2 * to_double(a[i]);
        more[i] = to_double(b[i]) - 3 * to_double(a[i]);
      }
      std::vector<T> y(n, from_double<T>(NAN));
      run(Add<T>{n, a.data(), b.data(), y.data()}, context);
      CHECK(same_bits(y, expected<T>(sum)));
      std::fill(y.begin(), y.end(), from_double<T>(NAN));
      run(Scale<T>{n, 2, a.data(), y.data(), false}, context);  // must not look at the NaN
      CHECK(same_bits(y, expected<T>(twice)));
      y = b;
      run(Scale<T>{n, -3, a.data(), y.data(), true}, context);
      CHECK(same_bits(y, expected<T>(more)));
    }
  }
}

TEMPLATE_TEST_CASE("add and scale round once", "[elementwise]", float, bf16, double) {
  using T = TestType;
  cpu::Context context(2);
  const int64_t n = 1003;
  const auto a = random<T>(n, 3), b = random<T>(n, 4);
  std::vector<T> y(n), z = b;
  run(Add<T>{n, a.data(), b.data(), y.data()}, context);
  run(Scale<T>{n, Acc<T>(0.3), a.data(), z.data(), true}, context);
  std::vector<double> sum(n), scaled(n);
  for (int64_t i = 0; i < n; ++i) {
    sum[i] = to_double(a[i]) + to_double(b[i]);
    scaled[i] = to_double(b[i]) + double(Acc<T>(0.3)) * to_double(a[i]);
  }
  check_close(y, sum, {1, 1e-30});  // half a spacing and nothing else
  check_close(z, scaled, {1, 1});
}

TEMPLATE_TEST_CASE("the gradient of relu passes where the output is positive", "[elementwise]", float, bf16,
                   double) {
  using T = TestType;
  for (const int64_t n : counts) {
    cpu::Context context(2);
    const auto x = integers<T>(n, 5), dy = integers<T>(n, 6), old = integers<T>(n, 7);  // x holds zeros
    std::vector<double> value(n), gradient(n), added(n);
    for (int64_t i = 0; i < n; ++i) {
      value[i] = std::max(to_double(x[i]), 0.0);
      gradient[i] = value[i] > 0 ? to_double(dy[i]) : 0;
      added[i] = to_double(old[i]) + gradient[i];
    }
    std::vector<T> y(n), dx(n, from_double<T>(NAN)), sum = old;
    run(ReluForward<T>{n, x.data(), y.data()}, context);
    run(ReluBackward<T>{n, dy.data(), y.data(), dx.data(), false}, context);
    run(ReluBackward<T>{n, dy.data(), y.data(), sum.data(), true}, context);
    CHECK(same_bits(y, expected<T>(value)));
    CHECK(same_bits(dx, expected<T>(gradient)));
    CHECK(same_bits(sum, expected<T>(added)));
  }
}

TEMPLATE_TEST_CASE("relu does not hide NaN", "[elementwise]", float, bf16, double) {
  using T = TestType;
  cpu::Context context(1);
  std::vector<T> x(37, from_double<T>(-1));
  x[3] = x[36] = from_double<T>(NAN);
  std::vector<T> y(37);
  run(ReluForward<T>{37, x.data(), y.data()}, context);
  for (int i = 0; i < 37; ++i)
    CHECK((i == 3 || i == 36 ? std::isnan(to_double(y[i])) : to_double(y[i]) == 0));
}

TEST_CASE("every bf16 survives the way to float and back", "[elementwise]") {
  cpu::Context context(2);
  const int64_t n = 65536;
  std::vector<bf16> x(n), back(n);
  for (int64_t i = 0; i < n; ++i) x[i].bits = static_cast<uint16_t>(i);
  std::vector<float> wide(n);
  run(Cast<bf16, float>{n, x.data(), wide.data()}, context);
  run(Cast<float, bf16>{n, wide.data(), back.data()}, context);
  int changed = 0;
  for (int64_t i = 0; i < n; ++i) {
    if (std::isnan(wide[i])) changed += !std::isnan(float(back[i]));
    else changed += back[i].bits != x[i].bits;
  }
  CHECK(changed == 0);
}

TEST_CASE("a cast to bf16 takes the nearest, the even one in a tie", "[elementwise]") {
  cpu::Context context(2);
  std::vector<float> x = random<float>(50000, 8, -1e3, 1e3);
  for (int i = 0; i < 1000; ++i) x[i] = std::bit_cast<float>(0x3f008000u + 0x10000u * i);  // exact ties
  x[1000] = 3.4e38f;  // rounds to infinity
  x[1001] = 1e-40f;   // subnormal
  const auto n = static_cast<int64_t>(x.size());
  std::vector<bf16> y(n);
  run(Cast<float, bf16>{n, x.data(), y.data()}, context);
  int wrong = 0;
  for (int64_t i = 0; i < n; ++i) {
    bf16 below, above;  // the neighbours towards and away from zero
    below.bits = static_cast<uint16_t>(std::bit_cast<uint32_t>(x[i]) >> 16);
    above.bits = below.bits + 1;
    const double under = std::abs(x[i] - double(float(below))), over = std::abs(double(float(above)) - x[i]);
    const bool up = over < under || (over == under && below.bits % 2 == 1);
    wrong += i != 1000 && y[i].bits != (up ? above : below).bits;
  }
  CHECK(wrong == 0);
  CHECK(float(y[1000]) == std::numeric_limits<float>::infinity());
}

TEST_CASE("casts between float and double round to nearest", "[elementwise]") {
  cpu::Context context(2);
  const auto x = random<double>(40000, 9);
  const auto n = static_cast<int64_t>(x.size());
  std::vector<float> narrow(n), again(n);
  std::vector<double> wide(n);
  run(Cast<double, float>{n, x.data(), narrow.data()}, context);
  run(Cast<float, double>{n, narrow.data(), wide.data()}, context);
  run(Cast<double, float>{n, wide.data(), again.data()}, context);
  check_close(narrow, x, {1, 1e-30});
  CHECK(same_bits(narrow, again));
}

TEMPLATE_TEST_CASE("fill writes its value everywhere and nowhere else", "[elementwise]", float, bf16,
                   double) {
  using T = TestType;
  cpu::Context context(2);
  for (const int64_t n : counts) {
    std::vector<T> y(n + 1, from_double<T>(5));
    run(Fill<T>{n, from_double<T>(-2), y.data()}, context);
    std::vector<double> want(n + 1, -2);
    want[n] = 5;
    CHECK(same_bits(y, expected<T>(want)));
  }
}
