#include "kernels/elementwise.h"

#include "kernels/loops.h"

namespace stopgrad::cpu {

template <class T>
void run(const Add<T>& c, Context& context) {
  each(c.count, context, [=](int64_t i) { c.y[i] = T(Acc<T>(c.a[i]) + Acc<T>(c.b[i])); });
}

template <class T>
void run(const Scale<T>& c, Context& context) {
  each(c.count, context, [=](int64_t i) { put(c.y[i], c.scale * Acc<T>(c.x[i]), c.accumulate); });
}

template <class T>
void run(const ReluForward<T>& c, Context& context) {
  each(c.count, context, [=](int64_t i) {
    const auto x = Acc<T>(c.x[i]);
    c.y[i] = T(x <= 0 ? 0 : x);  // this way round, NaN stays NaN
  });
}

template <class T>
void run(const ReluBackward<T>& c, Context& context) {
  each(c.count, context, [=](int64_t i) {
    const auto dy = Acc<T>(c.dy[i]);
    put(c.dx[i], Acc<T>(c.y[i]) > 0 ? dy : 0, c.accumulate);
  });
}

template <class From, class To>
void run(const Cast<From, To>& c, Context& context) {
  each(c.count, context, [=](int64_t i) { c.y[i] = To(c.x[i]); });
}

template <class T>
void run(const Fill<T>& c, Context& context) {
  const Acc<T> value = load_element(&c.value);
  each(c.count, context, [=](int64_t i) { store_element(c.y + i, value); });
}

template void run(const Add<float>&, Context&);
template void run(const Add<bf16>&, Context&);
template void run(const Add<double>&, Context&);
template void run(const Scale<float>&, Context&);
template void run(const Scale<bf16>&, Context&);
template void run(const Scale<double>&, Context&);
template void run(const ReluForward<float>&, Context&);
template void run(const ReluForward<bf16>&, Context&);
template void run(const ReluForward<double>&, Context&);
template void run(const ReluBackward<float>&, Context&);
template void run(const ReluBackward<bf16>&, Context&);
template void run(const ReluBackward<double>&, Context&);
template void run(const Cast<float, bf16>&, Context&);
template void run(const Cast<bf16, float>&, Context&);
template void run(const Cast<float, double>&, Context&);
template void run(const Cast<double, float>&, Context&);
template void run(const Fill<float>&, Context&);
template void run(const Fill<bf16>&, Context&);
template void run(const Fill<double>&, Context&);

}  // namespace stopgrad::cpu
