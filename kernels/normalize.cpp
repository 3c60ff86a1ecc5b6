#include "kernels/normalize.h"

#include "kernels/loops.h"

namespace stopgrad::cpu {

template <class T>
void run(const NormalizeForward<T>& c, Context& context) {
  using A = Acc<T>;
  each_row(c.rows, int64_t{c.rows} * c.channels, context, [=](int64_t row) {
    const T* x = c.x + row * c.channels;
    T* y = c.y + row * c.channels;
    const A inv = inverse_norm(dot(x, x, c.channels));
    c.inv_norm[row] = inv;
    each_column(c.channels, [=](int i) { y[i] = T(A(x[i]) * inv); });
  });
}

template <class T, class Out>
void run(const NormalizeBackward<T, Out>& c, Context& context) {
  using A = Acc<T>;
  each_row(c.rows, int64_t{c.rows} * c.channels, context, [=](int64_t row) {
    const T* dy = c.dy + row * c.channels;
    const T* y = c.y + row * c.channels;
    Out* dx = c.dx + row * c.channels;
    const A inv = c.inv_norm[row];
    const A along = is_floored(inv) ? 0 : dot(dy, y, c.channels);
    each_column(c.channels, [=](int i) { put(dx[i], (A(dy[i]) - along * A(y[i])) * inv, c.accumulate); });
  });
}

template void run(const NormalizeForward<float>&, Context&);
template void run(const NormalizeForward<bf16>&, Context&);
template void run(const NormalizeForward<double>&, Context&);
template void run(const NormalizeBackward<float>&, Context&);
template void run(const NormalizeBackward<bf16>&, Context&);
template void run(const NormalizeBackward<bf16, float>&, Context&);
template void run(const NormalizeBackward<double>&, Context&);

}  // namespace stopgrad::cpu
