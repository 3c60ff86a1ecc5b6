#include "kernels/lars.h"

#include "kernels/loops.h"

namespace stopgrad::cpu {

namespace {

/// |w|^2 and |g + decay w|^2 over a chunk, in double.
template <class T>
std::array<double, 2> squares_of(const LarsStep<T>& c, const LarsChunk& chunk) {
  const auto* const value = c.value + chunk.begin;
  const auto* const gradient = c.gradient + chunk.begin;
  const Acc<T> decay = c.decay;
  return sums_over<double, 2>(chunk.count, [=](int i) {
    const double w = value[i], g = gradient[i] + decay * value[i];
    return std::array<double, 2>{w * w, g * g};
  });
}

/// The factor of a chunk's rate, from the sums of all chunks of its parameter.
template <class A>
A ratio_of(const LarsChunk& chunk, const std::array<double, 2>* mine, A trust) {
  if (chunk.adapted == 0) return 1;
  double w = 0, g = 0;
  for (int i = 0; i < chunk.parts; ++i) {
    w += mine[i - chunk.before][0];
    g += mine[i - chunk.before][1];
  }
  return w > 0 && g > 0 ? static_cast<A>(trust * std::sqrt(w) / std::sqrt(g)) : 1;
}

}  // namespace

template <class T>
void run(const LarsStep<T>& c, Context& context) {
  using A = Acc<T>;
  auto* const squares = context.scratch_of<std::array<double, 2>>(static_cast<size_t>(c.chunks));
  context.share(c.chunks, [=](int64_t k, int) {
    if (c.chunk[k].adapted != 0) squares[k] = squares_of(c, c.chunk[k]);
  });
  context.share(c.chunks, [=](int64_t k, int) {
    const LarsChunk chunk = c.chunk[k];
    const A rate = *c.rate * ratio_of(chunk, squares + k, c.trust);
    const A momentum = c.momentum, decay = chunk.adapted != 0 ? c.decay : 0;
    const A* const gradient = c.gradient + chunk.begin;
    A *const buffer = c.momentum_buffer + chunk.begin, *const value = c.value + chunk.begin;
    each_column(chunk.count, [=](int i) {
      const A g = gradient[i] + decay * value[i];
      buffer[i] = momentum * buffer[i] + rate * g;
      value[i] -= buffer[i];
    });
    if (c.compute == nullptr) return;
    T* const compute = c.compute + chunk.begin;
    each_column(chunk.count, [=](int i) { compute[i] = T(value[i]); });
  });
}

template void run(const LarsStep<float>&, Context&);
template void run(const LarsStep<bf16>&, Context&);
template void run(const LarsStep<double>&, Context&);

}  // namespace stopgrad::cpu
