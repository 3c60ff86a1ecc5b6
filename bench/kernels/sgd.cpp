// Updates over parameter slabs.
#include "kernels/sgd.h"

#include "bench/kernels/registry.h"

namespace stopgrad::bench {
namespace {

constexpr float kMomentum = 0.9f, kDecay = 5e-4f, kRate = 0.03f;

template <class T>
struct Step {
  int64_t count;

  std::string op() const { return "sgd"; }
  std::string shape() const { return fmt::format("n{}", count); }
  SgdStep<T> make(Arena& a) const {
    return {.count = count,
            .rate = a.make<float>(1, [](int64_t) { return kRate; }),
            .momentum = kMomentum,
            .decay = kDecay,
            .gradient = a.random<float>(count, 1),
            .momentum_buffer = a.random<float>(count, 2),
            .value = a.random<float>(count, 3),
            .compute = std::is_same_v<T, float> ? nullptr : a.output<T>(count)};
  }
  void check(const SgdStep<T>& before, const SgdStep<T>& after, Comparison& c) const {
    const auto momentum = [&](int64_t i) {
      return double(kMomentum) * before.momentum_buffer[i] +
             (before.gradient[i] + double(kDecay) * before.value[i]);
    };
    const auto value = [&](int64_t i) { return before.value[i] - double(kRate) * momentum(i); };
    c.close("momentum", after.momentum_buffer, count, momentum, test::Tolerance<float>{4, 1});
    c.close("value", after.value, count, value, test::Tolerance<float>{4, 1});
    if (after.compute)
      c.equal("compute", after.compute, count, [&](int64_t i) { return test::to_double(T(after.value[i])); });
  }
};

struct Average {
  int64_t count;

  std::string op() const { return "moving_average"; }
  std::string shape() const { return fmt::format("n{}", count); }
  MovingAverage<float> make(Arena& a) const {
    return {count, 0.99f, a.random<float>(count, 1), a.random<float>(count, 2)};
  }
  void check(const MovingAverage<float>& before, const MovingAverage<float>& after, Comparison& c) const {
    const double momentum = before.momentum;
    const auto want = [&](int64_t i) {
      return momentum * before.target[i] + (1 - momentum) * before.source[i];
    };
    c.close("target", after.target, count, want, test::Tolerance<float>{2, 1});
  }
};

}  // namespace

void add_sgd(Registry& registry) {
  for (const auto& [name, count, real] : registry.flat) {
    const bool quick = count == 18'511'680;
    registry.add<float>(Step<float>{count}, quick);
    registry.add<bf16>(Step<bf16>{count}, quick);
    registry.add<float>(Average{count}, quick);
  }
}

}  // namespace stopgrad::bench
