#include "engine/optimizer.h"

#include <algorithm>
#include <cmath>

#include "kernels/lars.h"
#include "kernels/sgd.h"

namespace stopgrad {

Optimizer::Optimizer(ParameterSlab& slab)
    : slab_(slab), rates_(slab.values.pool(), {2}, slab.values.dtype()) {}

void Optimizer::set_rates(double rate, double fixed_rate) {
  visit_float(slab_.activations(), [&](auto zero) {
    using A = Acc<decltype(zero)>;
    const A both[2] = {static_cast<A>(rate), static_cast<A>(fixed_rate)};
    rates_.set(both);
  });
}

void Optimizer::update() {
  slab_.zero_missing_gradients();
  for (const SlabRange& range : slab_.ranges()) update_range(range);
}

void Sgd::update_range(const SlabRange& range) {
  visit_float(slab().activations(), [&](auto zero) {
    using T = decltype(zero);
    using A = Acc<T>;
    launch(slab().values.device(),
           SgdStep<T>{.count = range.end - range.begin,
                      .rate = rate_of<A>(range),
                      .momentum = static_cast<A>(momentum_),
                      .decay = static_cast<A>(decay_),
                      .gradient = slab().gradients.data<A>() + range.begin,
                      .momentum_buffer = slab().momenta.data<A>() + range.begin,
                      .value = slab().values.data<A>() + range.begin,
                      .compute = std::is_same_v<T, A> ? nullptr : slab().compute.data<T>() + range.begin});
  });
}

Lars::Lars(ParameterSlab& slab, double momentum, double decay, double trust)
    : Optimizer(slab), momentum_(momentum), decay_(decay), trust_(trust) {
  std::vector<LarsChunk> chunks;
  for (size_t i = 0; i < slab.parameters().size(); ++i) {
    const SlabRange all = slab.extent(i);
    constexpr int64_t most = LarsChunk::kMost;
    const int64_t parts = (all.end - all.begin + most - 1) / most;
    for (int64_t k = 0; k < parts; ++k) {
      const int64_t begin = all.begin + k * most;
      chunks.push_back({.begin = begin,
                        .count = static_cast<int32_t>(std::min(most, all.end - begin)),
                        .before = static_cast<int32_t>(k),
                        .parts = static_cast<int32_t>(parts),
                        .adapted = slab.parameters()[i]->shape.rank() > 1});
      begins_.push_back(begin);
    }
  }
  constexpr auto words = static_cast<int64_t>(sizeof(LarsChunk) / sizeof(int64_t));
  chunks_ = Tensor(slab.values.pool(), {static_cast<int64_t>(chunks.size()), words}, DType::i64);
  chunks_.from_host(chunks.data());
}

void Lars::update_range(const SlabRange& range) {
  const auto place = [&](int64_t element) {
    return std::lower_bound(begins_.begin(), begins_.end(), element) - begins_.begin();
  };
  const auto first = place(range.begin);
  visit_float(slab().activations(), [&](auto zero) {
    using T = decltype(zero);
    using A = Acc<T>;
    launch(slab().values.device(),
           LarsStep<T>{.chunks = static_cast<int>(place(range.end) - first),
                       .chunk = static_cast<const LarsChunk*>(chunks_.raw()) + first,
                       .rate = rate_of<A>(range),
                       .momentum = static_cast<A>(momentum_),
                       .decay = static_cast<A>(decay_),
                       .trust = static_cast<A>(trust_),
                       .gradient = slab().gradients.data<A>(),
                       .momentum_buffer = slab().momenta.data<A>(),
                       .value = slab().values.data<A>(),
                       .compute = std::is_same_v<T, A> ? nullptr : slab().compute.data<T>()});
  });
}

double CosineSchedule::at(int64_t step) const {
  if (step < warmup)
    return warmup_start + (base - warmup_start) * static_cast<double>(step) / static_cast<double>(warmup);
  const int64_t since = std::max<int64_t>(step / hold * hold - warmup, 0);
  const double progress =
      static_cast<double>(since) / static_cast<double>(std::max<int64_t>(total - warmup, 1));
  return base * 0.5 * (1 + std::cos(M_PI * progress));
}

}  // namespace stopgrad
