#include "kernels/cosine_loss.h"

#include "kernels/loops.h"

namespace stopgrad::cpu {

template <class T>
void run(const CosineLossForward<T>& c, Context& context) {
  using A = Acc<T>;
  const int64_t all = int64_t{c.pairs} * c.rows;
  each_row(all, 2 * all * c.channels, context, [=](int64_t i) {
    const int64_t pair = i / c.rows, row = i % c.rows;
    const T* p = c.p[pair] + row * c.channels;
    const T* z = c.z[pair] + row * c.channels;
    A* saved = c.saved + 3 * i;
    saved[0] = inverse_norm(dot(p, p, c.channels));
    saved[1] = inverse_norm(dot(z, z, c.channels));
    saved[2] = dot(p, z, c.channels) * saved[0] * saved[1];
  });
  double loss = 0;
  for (int64_t i = 0; i < all; ++i) loss -= c.saved[3 * i + 2];
  *c.loss = static_cast<A>(loss / static_cast<double>(all));
}

namespace {
/// du = -c inv_u (v^ - cosine u^) for one row, with v^ = inv_v v and u^ = inv_u u; without the part along u
/// where |u| is below the floor, since there u^ is linear in u.
template <class T, class A = Acc<T>>
void row_gradient(const T* u, const T* v, A inv_u, A inv_v, A cosine, A c, int channels, T* du, bool add) {
  const A along_v = -c * inv_u * inv_v;
  const A along_u = is_floored(inv_u) ? 0 : c * inv_u * inv_u * cosine;
  each_column(channels, [=](int i) { put(du[i], along_v * A(v[i]) + along_u * A(u[i]), add); });
}
}  // namespace

template <class T>
void run(const CosineLossBackward<T>& c, Context& context) {
  using A = Acc<T>;
  const A scale = *c.dloss / static_cast<A>(int64_t{c.pairs} * c.rows);
  // A thread owns a row in all pairs, since gradients may share memory.
  each_row(c.rows, int64_t{c.pairs} * c.rows * c.channels, context, [=](int64_t row) {
    for (int k = 0; k < c.pairs; ++k) {
      const int64_t at = row * c.channels;
      const T *p = c.p[k] + at, *z = c.z[k] + at;
      const A* saved = c.saved + 3 * (int64_t{k} * c.rows + row);
      const A inv_p = saved[0], inv_z = saved[1], cosine = saved[2];
      if (c.dp[k] != nullptr)
        row_gradient(p, z, inv_p, inv_z, cosine, scale, c.channels, c.dp[k] + at, c.accumulate_dp[k]);
      if (c.dz[k] != nullptr)
        row_gradient(z, p, inv_z, inv_p, cosine, scale, c.channels, c.dz[k] + at, c.accumulate_dz[k]);
    }
  });
}

template void run(const CosineLossForward<float>&, Context&);
template void run(const CosineLossForward<bf16>&, Context&);
template void run(const CosineLossForward<double>&, Context&);
template void run(const CosineLossBackward<float>&, Context&);
template void run(const CosineLossBackward<bf16>&, Context&);
template void run(const CosineLossBackward<double>&, Context&);

}  // namespace stopgrad::cpu
