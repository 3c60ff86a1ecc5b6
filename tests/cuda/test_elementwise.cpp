#include "kernels/elementwise.h"

#include "tests/compare.h"
#include "tests/cuda/mirror.h"

using namespace stopgrad;
using namespace stopgrad::test;

namespace {

/// None, less than a pack, packs and a rest, more than a block, several blocks.
std::vector<int64_t> counts() {
  std::vector<int64_t> out;
  for (const int64_t n : {0, 1, 7, 8, 1003, 4099, 21001})
    if (affordable(n / 4)) out.push_back(n);
  return out;
}

/// Runs make(a, b, y) on both sides; y holds NaN before, or numbers when the call adds to them. Those in
/// `late` (1: a, 2: b, 4: y) begin one element behind the start of their memory; nothing around them may
/// change.
template <class In, class Out, class F>
void check_same(bool accumulate, F make) {
  for (const int64_t n : counts())
    for (const int late : {0, 1, 2, 4, 7}) {
      INFO(n << " elements, late " << late << ", accumulate " << accumulate);
      const int to_a = late & 1, to_b = late >> 1 & 1, to_y = late >> 2;
      auto a = random<In>(n + 2, 1), b = integers<In>(n + 2, 2);
      a[n / 2 + to_a] = from_double<In>(-0.0);
      auto want = random<Out>(n + 2, 3);
      if (!accumulate) fill_nan(want);
      auto got = want;
      cpu::Context context(1);
      cpu::run(make(a.data() + to_a, b.data() + to_b, want.data() + to_y, n), context);
      Mirror mirror;
      mirror.add(a, b, got);
      run(make(mirror(a.data() + to_a), mirror(b.data() + to_b), mirror(got.data() + to_y), n), device());
      mirror.fetch();
      CHECK(same_bits(got, want));
    }
}

}  // namespace

TEMPLATE_TEST_CASE("elementwise maps on CUDA are the CPU's bit for bit", "[cuda][elementwise]", float, bf16) {
  using T = TestType;
  SECTION("add") {
    check_same<T, T>(false, [](const T* a, const T* b, T* y, int64_t n) { return Add<T>{n, a, b, y}; });
  }
  SECTION("scale") {
    for (const bool add : {false, true})
      check_same<T, T>(add, [=](const T* a, const T*, T* y, int64_t n) {
        return Scale<T>{n, 0.3f, a, y, add};
      });
  }
  SECTION("relu") {
    check_same<T, T>(false, [](const T* a, const T*, T* y, int64_t n) { return ReluForward<T>{n, a, y}; });
  }
  SECTION("relu backward") {  // b holds zeros and negative numbers
    for (const bool add : {false, true})
      check_same<T, T>(add, [=](const T* a, const T* b, T* y, int64_t n) {
        return ReluBackward<T>{n, a, b, y, add};
      });
  }
  SECTION("fill") {
    check_same<T, T>(false, [](const T*, const T*, T* y, int64_t n) {
      return Fill<T>{n, from_double<T>(-2), y};
    });
  }
}

TEST_CASE("casts on CUDA are the CPU's bit for bit", "[cuda][elementwise]") {
  check_same<float, bf16>(false, [](const float* x, const float*, bf16* y, int64_t n) {
    return Cast<float, bf16>{n, x, y};
  });
  check_same<bf16, float>(false, [](const bf16* x, const bf16*, float* y, int64_t n) {
    return Cast<bf16, float>{n, x, y};
  });
}

TEST_CASE("every bf16 survives the way to float and back on CUDA", "[cuda][elementwise]") {
  const int64_t n = affordable(16384) ? 65536 : 4096;
  std::vector<bf16> x(n), back(n);
  for (int64_t i = 0; i < n; ++i) x[i].bits = static_cast<uint16_t>(i * (65536 / n));
  std::vector<float> wide(n);
  Mirror mirror;
  mirror.add(x, wide, back);
  run(Cast<bf16, float>{n, mirror(x.data()), mirror(wide.data())}, device());
  run(Cast<float, bf16>{n, mirror(wide.data()), mirror(back.data())}, device());
  mirror.fetch();
  int changed = 0;
  for (int64_t i = 0; i < n; ++i)
    changed += std::isnan(float(x[i])) ? !std::isnan(float(back[i])) : back[i].bits != x[i].bits;
  CHECK(changed == 0);
}

TEST_CASE("a cast to bf16 on CUDA takes the even one in a tie", "[cuda][elementwise]") {
  std::vector<float> x(1000);
  for (int i = 0; i < 1000; ++i) x[i] = std::bit_cast<float>(0x3f008000u + 0x10000u * i);
  x[998] = 3.4e38f;  // rounds to infinity
  x[999] = 1e-40f;   // subnormal
  std::vector<bf16> got(x.size()), want(x.size());
  cpu::Context context(1);
  cpu::run(Cast<float, bf16>{1000, x.data(), want.data()}, context);
  Mirror mirror;
  mirror.add(x, got);
  run(Cast<float, bf16>{1000, mirror(x.data()), mirror(got.data())}, device());
  mirror.fetch();
  CHECK(same_bits(got, want));
}

TEMPLATE_TEST_CASE("relu on CUDA does not hide NaN, and fill keeps the bits of one", "[cuda][elementwise]",
                   float, bf16) {
  using T = TestType;
  std::vector<T> x(37, from_double<T>(-1)), y(37), filled(37);
  x[3] = x[36] = from_double<T>(NAN);
  std::vector<T> nan(37);
  fill_nan(nan);
  Mirror mirror;
  mirror.add(x, y, filled);
  run(ReluForward<T>{37, mirror(x.data()), mirror(y.data())}, device());
  run(Fill<T>{37, nan[0], mirror(filled.data())}, device());
  mirror.fetch();
  for (int i = 0; i < 37; ++i)
    CHECK((i == 3 || i == 36 ? std::isnan(to_double(y[i])) : to_double(y[i]) == 0));
  CHECK(same_bits(filled, nan));
}

TEMPLATE_TEST_CASE("add on CUDA may write over what it reads", "[cuda][elementwise]", float, bf16) {
  const int64_t n = 1003;
  auto a = integers<TestType>(n, 4), b = integers<TestType>(n, 5), want = a;
  cpu::Context context(1);
  cpu::run(Add<TestType>{n, want.data(), b.data(), want.data()}, context);
  Mirror mirror;
  mirror.add(a, b);
  run(Add<TestType>{n, mirror(a.data()), mirror(b.data()), mirror(a.data())}, device());
  mirror.fetch();
  CHECK(same_bits(a, want));
}
