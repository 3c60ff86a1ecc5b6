#include <algorithm>

#include "bench/step/timeline.h"
#include "bench/step/work.h"
#include "kernels/elementwise.h"
#include "kernels/gemm.h"
#include "kernels/memory.h"
#include "kernels/philox.h"

namespace stopgrad::bench {

namespace {

/// Seconds of one call: the best of seven batches of `calls`, after one.
template <class F>
double best_seconds(const Device& device, int calls, F&& call) {
  Timeline timeline(device, 2);
  double best = 1e9;
  for (int round = 0; round < 8; ++round) {
    timeline.mark();
    for (int i = 0; i < calls; ++i) call();
    timeline.mark();
    const double seconds = timeline.resolve()[1] / calls;
    if (round > 0) best = std::min(best, seconds);
  }
  return best;
}

/// Uniform in [-1, 1): of zeros, a device computes faster than of data.
template <class T>
Tensor random_matrix(Pool pool, int size, uint32_t stream) {
  std::vector<T> values(static_cast<size_t>(size) * static_cast<size_t>(size));
  for (size_t i = 0; i < values.size(); i += 4) {
    const Philox block = philox(1, Purpose::test, stream, static_cast<uint32_t>(i), 0, 0);
    for (size_t k = 0; k < 4; ++k) values[i + k] = static_cast<T>(2 * uniform01(block.v[k]) - 1);
  }
  return Tensor::of<T>(pool, {size, size}, values);
}

double product_rate(Pool pool, DType activations) {
  return visit_float(activations, [&](auto zero) {
    using T = decltype(zero);
    const int size = pool.device().is_cpu() ? 1024 : 8192;
    const Tensor a = random_matrix<T>(pool, size, 1), b = random_matrix<T>(pool, size, 2);
    const Tensor c(pool, {size, size}, activations);
    const Gemm<T> call{size, size, size, false, false, a.data<T>(), b.data<T>(), c.data<T>(), false, nullptr};
    const double seconds = best_seconds(pool.device(), 4, [&] { launch(pool.device(), call); });
    return 2.0 * size * size * size / seconds;
  });
}

/// Bytes read and written, by the device's own copy or by ours, whichever is faster.
double copy_rate(Pool pool) {
  const bool cpu = pool.device().is_cpu();
  const int64_t count = int64_t{1} << (cpu ? 25 : 27);  // floats: 128 MiB, 512 MiB
  Tensor a(pool, {count}, DType::f32), b(pool, {count}, DType::f32);
  a.fill_zero();
  b.fill_zero();
  const Scale<float> scale{count, 1, a.data<float>(), b.data<float>(), false};
  const double ours = best_seconds(pool.device(), cpu ? 1 : 4, [&] { launch(pool.device(), scale); });
  const double system = best_seconds(pool.device(), cpu ? 1 : 4,
                                     [&] { copy_on_device(pool.device(), b.raw(), a.raw(), a.bytes()); });
  return 2 * static_cast<double>(a.bytes()) / std::min(ours, system);
}

}  // namespace

Ceilings measure_ceilings(Pool pool, DType activations) {
  return {product_rate(pool, activations), copy_rate(pool)};
}

}  // namespace stopgrad::bench
