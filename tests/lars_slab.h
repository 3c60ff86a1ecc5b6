#pragma once
// Parameters in one slab for tests of LARS, and its definition in double.
#include "kernels/lars.h"
#include "tests/numbers.h"

namespace stopgrad::test {

struct LarsParameter {
  int64_t count;
  bool adapted = true;
};

/// The chunks of parameters that follow one another, each padded to 64 elements.
inline std::vector<LarsChunk> lars_chunks(const std::vector<LarsParameter>& parameters) {
  std::vector<LarsChunk> out;
  int64_t begin = 0;
  for (const LarsParameter& p : parameters) {
    const int64_t padded = (p.count + 63) / 64 * 64, most = LarsChunk::kMost;
    const int64_t parts = (padded + most - 1) / most;
    for (int64_t k = 0; k < parts; ++k)
      out.push_back({begin + k * most, int32_t(std::min(most, padded - k * most)), int32_t(k), int32_t(parts),
                     p.adapted});
    begin += padded;
  }
  return out;
}

/// Random values, zero in the padding.
template <class T>
struct LarsSlab {
  using A = Acc<T>;
  std::vector<LarsParameter> parameters;
  std::vector<LarsChunk> chunks = lars_chunks(parameters);
  size_t size = size_t(chunks.back().begin + chunks.back().count);
  std::vector<A> rate = {A(.3)}, gradient = filled(1), momentum = filled(2), value = filled(3);
  std::vector<T> compute = std::vector<T>(size);

  explicit LarsSlab(std::vector<LarsParameter> all) : parameters(std::move(all)) {}
  std::vector<A> filled(uint64_t seed) const {
    std::vector<A> x = random<A>(size, seed);
    size_t at = 0;
    for (const LarsParameter& p : parameters) {
      const size_t end = at + size_t(p.count + 63) / 64 * 64;
      std::fill(x.begin() + long(at) + p.count, x.begin() + long(end), A(0));
      at = end;
    }
    return x;
  }
  LarsStep<T> call(bool view = true) {
    return {int(chunks.size()),
            chunks.data(),
            rate.data(),
            A(.9),
            A(.01),
            A(.05),
            gradient.data(),
            momentum.data(),
            value.data(),
            view ? compute.data() : nullptr};
  }
};

/// One step in double: what becomes of the momentum and the values.
template <class T>
std::pair<std::vector<double>, std::vector<double>> lars_step(const LarsSlab<T>& slab, const LarsStep<T>& c) {
  std::vector<double> m = doubles(slab.momentum), w = doubles(slab.value), g = doubles(slab.gradient);
  size_t at = 0;
  for (const LarsParameter& p : slab.parameters) {
    const double decay = p.adapted ? c.decay : 0;
    double of_w = 0, of_g = 0;
    for (size_t i = at; i < at + size_t(p.count); ++i) {
      g[i] += decay * w[i];
      of_w += w[i] * w[i], of_g += g[i] * g[i];
    }
    const bool whole = !p.adapted || of_w == 0 || of_g == 0;
    const double ratio = whole ? 1 : c.trust * std::sqrt(of_w / of_g);
    for (size_t i = at; i < at + size_t(p.count); ++i) {
      m[i] = c.momentum * m[i] + slab.rate[0] * ratio * g[i];
      w[i] -= m[i];
    }
    at += size_t(p.count + 63) / 64 * 64;
  }
  return {m, w};
}

}  // namespace stopgrad::test
