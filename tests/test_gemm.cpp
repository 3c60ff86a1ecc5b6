#include "cases.h"
#include "compare.h"
#include "kernels/gemm.h"
#include "reference/gemm.h"

using namespace stopgrad;
using namespace stopgrad::test;

namespace {

template <class T_, class Out_>
struct Types {
  using T = T_;
  using Out = Out_;
};

/// One product with its operands; c holds what was there before.
template <class T, class Out>
struct Product {
  Gemm<T, Out> g;
  std::vector<T> a, b;
  std::vector<Out> c, before;
  std::vector<Acc<T>> bias;

  template <class Fill>
  Product(const GemmCase& size, Fill fill) {
    g = {size.m, size.n, size.k, false, false, nullptr, nullptr, nullptr, false, nullptr};
    fill(a, size_t(g.m) * g.k, 1), fill(b, size_t(g.k) * g.n, 2);
    fill(before, size_t(g.m) * g.n, 3), fill(bias, g.n, 4);
  }

  /// Variants 0 to 15: transpose a, transpose b, accumulate, bias.
  void run(int variant, cpu::Context& context) {
    c = before;
    g = {g.m,      g.n,      g.k,      (variant & 1) != 0, (variant & 2) != 0,
         a.data(), b.data(), c.data(), (variant & 4) != 0, (variant & 8) != 0 ? bias.data() : nullptr};
    cpu::run(g, context);
  }

  /// What the last run gave and the definition gives, at every element or at a thousand of them: f(got,
  /// want).
  template <class F>
  void each(F f) const {
    const auto wide_a = doubles(a), wide_b = doubles(b);
    const size_t step = (c.size() / 1000) | 1;  // odd: visits all columns
    for (size_t e = 0; e < c.size(); e += step) {
      const int i = int(e / g.n), j = int(e % g.n);
      f(c[e], reference::gemm(g.m, g.n, g.k, g.transpose_a, g.transpose_b, wide_a, wide_b, i, j) +
                  (g.bias ? to_double(bias[j]) : 0) + (g.accumulate ? to_double(before[e]) : 0));
    }
  }
};

constexpr int kVariants = 16;

const auto with_integers = []<class V>(std::vector<V>& v, size_t count, uint64_t seed) {
  v = integers<V>(count, seed);
};
const auto with_random = []<class V>(std::vector<V>& v, size_t count, uint64_t seed) {
  v = random<V>(count, seed);
};

}  // namespace

#define ALL_TYPES (Types<float, float>), (Types<bf16, bf16>), (Types<bf16, float>), (Types<double, double>)

TEMPLATE_TEST_CASE("products of whole numbers equal the definition bit for bit", "[gemm]", ALL_TYPES) {
  using Out = typename TestType::Out;
  cpu::Context context;
  for (const GemmCase& size : gemm_cases()) {
    Product<typename TestType::T, Out> p(size, with_integers);
    for (int variant = 0; variant < kVariants; ++variant) {
      INFO(size.name << ", variant " << variant);
      p.run(variant, context);
      std::vector<Out> got, want;
      p.each([&](Out element, double w) {
        got.push_back(element);
        want.push_back(from_double<Out>(w));
      });
      CHECK(same_bits(got, want));
    }
  }
}

TEMPLATE_TEST_CASE("products of random numbers agree with the definition", "[gemm]", ALL_TYPES) {
  using Out = typename TestType::Out;
  cpu::Context context;
  for (const GemmCase& size : gemm_cases()) {
    Product<typename TestType::T, Out> p(size, with_random);
    for (int variant = 0; variant < kVariants; ++variant) {
      INFO(size.name << ", variant " << variant);
      p.run(variant, context);
      std::vector<Out> got;
      std::vector<double> want;
      p.each([&](Out element, double w) {
        got.push_back(element);
        want.push_back(w);
      });
      check_close(got, want, tolerance_of_sequence<Out>(size.k + 2, 1 / 3.0));
    }
  }
}

TEMPLATE_TEST_CASE("a product gives the same bits again and with other threads", "[gemm]", ALL_TYPES) {
  cpu::Context context(2), other(3);
  for (const GemmCase& size : gemm_cases()) {
    Product<typename TestType::T, typename TestType::Out> p(size, with_random);
    for (int variant = 0; variant < 4; ++variant) {
      INFO(size.name << ", variant " << variant);
      p.run(variant, context);
      const auto first = p.c;
      p.run(variant, context);
      CHECK(same_bits(first, p.c));
      p.run(variant, other);
      CHECK(same_bits(first, p.c));
    }
  }
}
