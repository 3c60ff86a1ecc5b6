#include "kernels/sgd.h"

#include "kernels/loops.h"

namespace stopgrad::cpu {

template <class T>
void run(const SgdStep<T>& c, Context& context) {
  const Acc<T> rate = *c.rate;
  auto step = [=](int64_t i) {
    const Acc<T> g = c.gradient[i] + c.decay * c.value[i];
    const Acc<T> m = c.momentum * c.momentum_buffer[i] + g;
    const Acc<T> w = c.value[i] - rate * m;
    c.momentum_buffer[i] = m;
    c.value[i] = w;
    return w;
  };
  if (c.compute == nullptr) each(c.count, context, [=](int64_t i) { step(i); });
  else each(c.count, context, [=](int64_t i) { c.compute[i] = T(step(i)); });
}

template <class T>
void run(const MovingAverage<T>& c, Context& context) {
  const T rest = 1 - c.momentum;
  each(c.count, context, [=](int64_t i) { c.target[i] = c.momentum * c.target[i] + rest * c.source[i]; });
}

template void run(const SgdStep<float>&, Context&);
template void run(const SgdStep<bf16>&, Context&);
template void run(const SgdStep<double>&, Context&);
template void run(const MovingAverage<float>&, Context&);
template void run(const MovingAverage<double>&, Context&);

}  // namespace stopgrad::cpu
