#include "kernels/check.h"
#ifdef _OPENMP
#include <omp.h>
#endif

#include <functional>

#include "cases.h"
#include "compare.h"
#include "kernels/cpu_features.h"
#include "kernels/winograd.h"
#include "reference/conv2d.h"
#include "tolerances.h"

using namespace stopgrad;
using namespace stopgrad::test;

namespace {

/// A convolution's tensors and its three results.
template <class T>
struct Problem {
  ConvShape s;
  std::vector<T> x, w, dy, y, dx;
  std::vector<Acc<T>> dw;

  template <class Fill>
  Problem(const ConvShape& shape, Fill fill) : s(shape) {
    const size_t pixels = size_t(s.images) * s.height * s.width,
                 taps = size_t(s.kernel) * s.kernel * s.channels;
    const size_t outputs = size_t(s.images) * s.out_height() * s.out_width() * s.out_channels;
    x = fill(pixels * s.channels, 1), w = fill(s.out_channels * taps, 2), dy = fill(outputs, 3);
    y.resize(dy.size()), dx.resize(x.size()), dw.resize(w.size());
  }

  void run(cpu::Context& context, bool accumulate = false) {
    cpu::run(ConvForward<T>{s, x.data(), w.data(), y.data()}, context);
    cpu::run(ConvBackwardInput<T>{s, dy.data(), w.data(), dx.data(), accumulate}, context);
    cpu::run(ConvBackwardWeight<T>{s, x.data(), dy.data(), dw.data(), accumulate}, context);
  }
};

template <class T>
Problem<T> whole_numbers(const ConvShape& s) {
  return Problem<T>(s, [](size_t count, uint64_t seed) { return integers<T>(count, seed); });
}
template <class T>
Problem<T> random_problem(const ConvShape& s) {
  return Problem<T>(s, [](size_t count, uint64_t seed) { return random<T>(count, seed); });
}

/// `got` and what the definition gives there: everywhere, or at `most` positions spread over it.
template <class T, class F>
void compare_at(const std::vector<T>& got, size_t most, F element, std::vector<T>& some,
                std::vector<double>& want) {
  const size_t step = std::max<size_t>(1, got.size() / most) | 1;  // odd: visits all channels
  some.clear(), want.clear();
  for (size_t i = 0; i < got.size(); i += step) {
    some.push_back(got[i]);
    want.push_back(element(i));
  }
}

constexpr size_t kMost = 4000;   // all elements of the small cases
constexpr size_t kSample = 200;  // of layers of real networks

template <class T>
void require_exact(const std::vector<T>& got, size_t most, const std::vector<T>& before,
                   const std::function<double(size_t)>& element) {
  std::vector<T> some, want_bits;
  std::vector<double> want;
  compare_at(
      got, most, [&](size_t i) { return element(i) + (before.empty() ? 0 : to_double(before[i])); }, some,
      want);
  for (const double v : want) want_bits.push_back(from_double<T>(v));
  CHECK(same_bits(some, want_bits));
}

template <class T>
void require_close(const std::vector<T>& got, size_t most, const Tolerance<T>& tolerance,
                   const std::function<double(size_t)>& element) {
  std::vector<T> some;
  std::vector<double> want;
  compare_at(got, most, element, some, want);
  check_close(some, want, tolerance);
}

/// All three results against the definition, bit for bit; dx and dw on top of what was there when
/// `accumulate`.
template <class T>
void check_whole_numbers(const ConvShape& s, cpu::Context& context, size_t most, bool accumulate) {
  Problem<T> p = whole_numbers<T>(s);
  std::vector<T> dx_before;
  std::vector<Acc<T>> dw_before;
  if (accumulate) {
    p.dx = dx_before = integers<T>(p.dx.size(), 4);
    p.dw = dw_before = integers<Acc<T>>(p.dw.size(), 5);
  }
  p.run(context, accumulate);
  const auto x = doubles(p.x), w = doubles(p.w), dy = doubles(p.dy);
  require_exact<T>(p.y, most, {}, [&](size_t i) { return reference::conv_forward(s, x, w, i); });
  require_exact<T>(p.dx, most, dx_before,
                   [&](size_t i) { return reference::conv_backward_input(s, dy, w, i); });
  require_exact<Acc<T>>(p.dw, most, dw_before,
                        [&](size_t i) { return reference::conv_backward_weight(s, x, dy, i); });
}

template <class T>
void check_random(const ConvShape& s, cpu::Context& context, size_t most) {
  Problem<T> p = random_problem<T>(s);
  p.run(context);
  const auto x = doubles(p.x), w = doubles(p.w), dy = doubles(p.dy);
  const ConvTolerances<T> tolerances(s,
                                     std::is_same_v<T, float> && !context.exact() && cpu::winograd::suits(s));
  require_close<T>(p.y, most, tolerances.y, [&](size_t i) { return reference::conv_forward(s, x, w, i); });
  require_close<T>(p.dx, most, tolerances.dx,
                   [&](size_t i) { return reference::conv_backward_input(s, dy, w, i); });
  require_close<Acc<T>>(p.dw, most, tolerances.dw,
                        [&](size_t i) { return reference::conv_backward_weight(s, x, dy, i); });
}

/// The shape with few images, for types that have no library.
ConvShape few_images(ConvShape s) {
  s.images = std::min(s.images, 2);
  return s;
}

}  // namespace

TEMPLATE_TEST_CASE("convolutions of whole numbers equal the definition bit for bit", "[conv2d]", float, bf16,
                   double) {
  cpu::Context context;
  context.set_exact(true);
  for (const ConvCase& c : conv_cases()) {
    if (c.real) continue;
    for (const bool accumulate : {false, true}) {
      INFO(c.name << ", accumulate " << accumulate);
      check_whole_numbers<TestType>(c.shape, context, kMost, accumulate);
    }
  }
}

TEMPLATE_TEST_CASE("convolutions of random numbers agree with the definition", "[conv2d]", float, bf16,
                   double) {
  for (const bool exact : {false, true}) {
    cpu::Context context;
    context.set_exact(exact);
    for (const ConvCase& c : conv_cases()) {
      if (c.real) continue;
      INFO(c.name << ", exact " << exact);
      check_random<TestType>(c.shape, context, kMost);
    }
  }
}

TEST_CASE("the layers of real networks agree with the definition at a sample of positions", "[conv2d]") {
  cpu::Context exact, fast;
  exact.set_exact(true);
  for (const ConvCase& c : conv_cases()) {
    if (!c.real) continue;
    INFO(c.name);
    check_whole_numbers<float>(c.shape, exact, kSample, true);
    check_random<float>(c.shape, fast, kSample);
    check_whole_numbers<bf16>(few_images(c.shape), exact, kSample, true);
    check_whole_numbers<double>(few_images(c.shape), exact, kSample, true);
  }
}

TEST_CASE("Winograd's convolution agrees with the definition on every kind of border", "[conv2d]") {
  cpu::Context context;
  // With 16 tiles and more: the tolerance is that of a long sum over them, and less is never asked for
  // (suits).
  for (const ConvShape& s : {ConvShape{16, 4, 4, 16, 16, 3, 1, 1}, ConvShape{16, 1, 1, 16, 32, 3, 1, 1},
                             ConvShape{3, 6, 9, 48, 16, 3, 1, 1}, ConvShape{4, 8, 5, 16, 80, 3, 1, 1},
                             ConvShape{9, 11, 15, 32, 32, 3, 1, 1}}) {
    INFO(s.images << " x " << s.height << " x " << s.width << " x " << s.channels << " to "
                  << s.out_channels);
    Problem<float> p = random_problem<float>(s);
    const auto dx_before = p.dx = random<float>(p.dx.size(), 4);
    const auto dw_before = p.dw = random<float>(p.dw.size(), 5);
    cpu::winograd::run(ConvForward<float>{s, p.x.data(), p.w.data(), p.y.data()}, context);
    cpu::winograd::run(ConvBackwardInput<float>{s, p.dy.data(), p.w.data(), p.dx.data(), true}, context);
    cpu::winograd::run(ConvBackwardWeight<float>{s, p.x.data(), p.dy.data(), p.dw.data(), true}, context);
    const auto x = doubles(p.x), w = doubles(p.w), dy = doubles(p.dy);
    const ConvTolerances<float> tolerances(s, true);
    require_close<float>(p.y, kMost, tolerances.y,
                         [&](size_t i) { return reference::conv_forward(s, x, w, i); });
    require_close<float>(p.dx, kMost, tolerances.dx, [&](size_t i) {
      return dx_before[i] + reference::conv_backward_input(s, dy, w, i);
    });
    require_close<float>(p.dw, kMost, tolerances.dw, [&](size_t i) {
      return dw_before[i] + reference::conv_backward_weight(s, x, dy, i);
    });
  }
}

TEST_CASE("Winograd refuses shapes that it cannot compute", "[conv2d]") {
  for (const ConvShape& s : {ConvShape{64, 8, 8, 64, 64, 3, 2, 1}, ConvShape{64, 8, 8, 64, 64, 5, 1, 2},
                             ConvShape{64, 8, 8, 64, 64, 3, 1, 0}, ConvShape{64, 8, 8, 72, 64, 3, 1, 1},
                             ConvShape{64, 8, 8, 64, 72, 3, 1, 1}}) {
    CHECK_FALSE(cpu::winograd::suits(s));
  }
  CHECK(cpu::winograd::suits({64, 8, 8, 64, 64, 3, 1, 1}));
}

TEMPLATE_TEST_CASE(
    "a convolution gives the same bits again and with other threads, and allocates no scratch then",
    "[conv2d]", float, bf16, double) {
  for (const ConvCase& c : conv_cases()) {
    if (c.real) continue;
    INFO(c.name);
    cpu::Context context(2), other(3);
    Problem<TestType> first = random_problem<TestType>(c.shape), again = first, elsewhere = first;
    first.run(context);
    const size_t grown = context.scratch_bytes();
    again.run(context);
    elsewhere.run(other);
    CHECK(context.scratch_bytes() == grown);
    CHECK((same_bits(first.y, again.y) && same_bits(first.dx, again.dx) && same_bits(first.dw, again.dw)));
    CHECK((same_bits(first.y, elsewhere.y) && same_bits(first.dx, elsewhere.dx) &&
           same_bits(first.dw, elsewhere.dw)));
  }
}

TEMPLATE_TEST_CASE("own convolutions give the same bits with any number of threads", "[conv2d]", float,
                   double) {
  // Own are the plain loops, which double takes, and Winograd, which float takes on wide layers.
  for (const ConvShape& s : {ConvShape{17, 7, 7, 64, 80, 3, 1, 1}, ConvShape{16, 16, 16, 64, 64, 3, 1, 1}}) {
    REQUIRE(cpu::winograd::suits(s));
    cpu::Context one(1), three(3);
    Problem<TestType> a = random_problem<TestType>(s), b = a;
    a.run(one);
    b.run(three);
    CHECK((same_bits(a.y, b.y) && same_bits(a.dx, b.dx) && same_bits(a.dw, b.dw)));
  }
}

#ifdef _OPENMP
TEST_CASE("a context's number of threads stays its own", "[conv2d]") {
  const int before = omp_get_max_threads();
  cpu::Context context(before + 1);
  random_problem<float>({2, 8, 8, 16, 16, 3, 2, 1}).run(context);
  CHECK(omp_get_max_threads() == before);
}
#endif

TEST_CASE("asking for bf16 where it is slow says what to do", "[conv2d]") {
  if (cpu::bf16_is_fast_here()) {
    CHECK_NOTHROW(cpu::require_fast_bf16());
    return;
  }
  try {
    cpu::require_fast_bf16();
    FAIL("accepted");
  } catch (const Error& error) {
    CHECK(error.code() == Exit::config);
    CHECK_THAT(error.what(), Catch::Contains("AVX512_BF16") && Catch::Contains("use float32"));
  }
}
