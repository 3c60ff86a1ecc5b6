#include "engine/optimizer.h"

#include <cmath>

#include "kernels/sgd.h"

namespace stopgrad {

Sgd::Sgd(ParameterSlab& slab, double momentum, double decay)
    : slab_(slab), momentum_(momentum), decay_(decay), rates_(slab.values.pool(), {2}, slab.values.dtype()) {}

void Sgd::set_rates(double rate, double fixed_rate) {
  visit_float(slab_.activations(), [&](auto zero) {
    using A = Acc<decltype(zero)>;
    const A both[2] = {static_cast<A>(rate), static_cast<A>(fixed_rate)};
    rates_.set(both);
  });
}

void Sgd::update() {
  slab_.zero_missing_gradients();
  visit_float(slab_.activations(), [&](auto zero) {
    using T = decltype(zero);
    using A = Acc<T>;
    for (const SlabRange& range : slab_.ranges())
      launch(slab_.values.device(),
             SgdStep<T>{.count = range.end - range.begin,
                        .rate = rates_.data<A>() + (range.fixed_rate ? 1 : 0),
                        .momentum = static_cast<A>(momentum_),
                        .decay = static_cast<A>(decay_),
                        .gradient = slab_.gradients.data<A>() + range.begin,
                        .momentum_buffer = slab_.momenta.data<A>() + range.begin,
                        .value = slab_.values.data<A>() + range.begin,
                        .compute = std::is_same_v<T, A> ? nullptr : slab_.compute.data<T>() + range.begin});
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
