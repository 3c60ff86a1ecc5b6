// Layer-wise adaptive rates: one weight in chunks.
#include "kernels/lars.h"

#include "bench/kernels/registry.h"

namespace stopgrad::bench {
namespace {

constexpr float kMomentum = 0.9f, kDecay = 0.01f, kTrust = 0.05f, kRate = 0.3f;

template <class T>
struct AdaptedStep {
  int64_t count;  // a multiple of 64

  std::string op() const { return "lars"; }
  std::string shape() const { return fmt::format("n{}", count); }
  LarsStep<T> make(Arena& a) const {
    constexpr int64_t most = LarsChunk::kMost;
    const int64_t parts = (count + most - 1) / most;
    const auto chunk = [&](int64_t k) {
      return LarsChunk{k * most, int32_t(std::min(most, count - k * most)), int32_t(k), int32_t(parts), 1};
    };
    return {.chunks = int(parts),
            .chunk = a.make<LarsChunk>(parts, chunk),
            .rate = a.make<float>(1, [](int64_t) { return kRate; }),
            .momentum = kMomentum,
            .decay = kDecay,
            .trust = kTrust,
            .gradient = a.random<float>(count, 1),
            .momentum_buffer = a.random<float>(count, 2),
            .value = a.random<float>(count, 3),
            .compute = std::is_same_v<T, float> ? nullptr : a.output<T>(count)};
  }
  void check(const LarsStep<T>& before, const LarsStep<T>& after, Comparison& c) const {
    const auto gradient = [&](int64_t i) { return before.gradient[i] + double(kDecay) * before.value[i]; };
    double w = 0, g = 0;
    for (int64_t i = 0; i < count; ++i) {
      w += double(before.value[i]) * before.value[i];
      g += gradient(i) * gradient(i);
    }
    const double rate = kRate * double(kTrust) * std::sqrt(w / g);
    const auto momentum = [&](int64_t i) {
      return double(kMomentum) * before.momentum_buffer[i] + rate * gradient(i);
    };
    c.close("momentum", after.momentum_buffer, count, momentum, test::Tolerance<float>{4, 1});
    c.close(
        "value", after.value, count, [&](int64_t i) { return before.value[i] - momentum(i); },
        test::Tolerance<float>{4, 1});
    if (after.compute)
      c.equal("compute", after.compute, count, [&](int64_t i) { return test::to_double(T(after.value[i])); });
  }
};

}  // namespace

void add_lars(Registry& registry) {
  for (const auto& [name, count, real] : registry.flat) {
    const bool quick = count == 18'511'680;
    const int64_t padded = (count + 63) / 64 * 64;
    registry.add<float>(AdaptedStep<float>{padded}, quick);
    registry.add<bf16>(AdaptedStep<bf16>{padded}, quick);
  }
}

}  // namespace stopgrad::bench
