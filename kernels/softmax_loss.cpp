#include "kernels/softmax_loss.h"

#include "kernels/check.h"
#include "kernels/exponential.h"
#include "kernels/loops.h"

namespace stopgrad::cpu {

template <class T>
void run(const CrossEntropyForward<T>& c, Context& context) {
  using A = Acc<T>;
  for (int row = 0; row < c.rows; ++row)
    ENSURE(c.labels[row] >= 0 && c.labels[row] < c.classes,
           "cross entropy: label {} of row {} is outside the {} classes, check the labels", c.labels[row],
           row, c.classes);
  for (int row = 0; c.left_out && row < c.rows; ++row)
    ENSURE(0 <= c.left_out[2 * row] && c.left_out[2 * row] <= c.left_out[2 * row + 1] &&
               c.left_out[2 * row + 1] <= c.classes,
           "cross entropy: row {} leaves out classes [{}, {}) of {}", row, c.left_out[2 * row],
           c.left_out[2 * row + 1], c.classes);
  A* losses = context.scratch_of<A>(c.rows);
  each_row(c.rows, int64_t{c.rows} * c.classes, context, [=](int64_t row) {
    const T* x = c.logits + row * c.classes;
    A* probability = c.probability + row * c.classes;
    const int begin = c.left_out ? c.left_out[2 * row] : 0, end = c.left_out ? c.left_out[2 * row + 1] : 0;
    const A own = load_element(x + c.labels[row]);
    // a label's NaN is found when it is summed
    const A most =
        std::max({largest(x, begin), largest(x + end, c.classes - end), own > -INFINITY ? own : -INFINITY});
    each_column(c.classes, [=](int i) { probability[i] = exponential(load_element(x + i) - most); });
    if (begin < end) {
      const A label = probability[c.labels[row]];
      std::fill(probability + begin, probability + end, A(0));
      probability[c.labels[row]] = label;
    }
    const A sum = sum_over<A>(c.classes, [=](int i) { return probability[i]; });
    each_column(c.classes, [=](int i) { probability[i] /= sum; });
    losses[row] = std::log(sum) - (own - most);
  });
  double loss = 0;
  for (int row = 0; row < c.rows; ++row) loss += losses[row];
  *c.loss = static_cast<A>(loss / c.rows);
}

template <class T>
void run(const CrossEntropyBackward<T>& c, Context& context) {
  using A = Acc<T>;
  const A scale = *c.dloss / static_cast<A>(c.rows);
  each_row(c.rows, int64_t{c.rows} * c.classes, context, [=](int64_t row) {
    const A* probability = c.probability + row * c.classes;
    T* dlogits = c.dlogits + row * c.classes;
    const int label = c.labels[row];
    put_columns(dlogits, c.classes, c.accumulate,
                [=](int i) { return scale * (probability[i] - static_cast<A>(i == label)); });
  });
}

template <class T>
void run(const SoftmaxSimilarityForward<T>& c, Context& context) {
  using A = Acc<T>;
  const int64_t all = int64_t{c.pairs} * c.rows;
  each_row(all, 2 * all * c.channels, context, [=](int64_t i) {
    const int64_t pair = i / c.rows, row = i % c.rows;
    const T* p = c.p[pair] + row * c.channels;
    const T* z = c.z[pair] + row * c.channels;
    const A most_p = largest(p, c.channels), most_z = largest(z, c.channels);
    const auto [sum_p, sum_z, product] = sums_over<A, 3>(c.channels, [=](int j) {
      const A log_p = load_element(p + j) - most_p, exp_z = exponential(load_element(z + j) - most_z);
      return std::array<A, 3>{exponential(log_p), exp_z, exp_z * log_p};
    });
    A* saved = c.saved + 3 * i;
    saved[0] = most_p + std::log(sum_p);
    saved[1] = most_z + std::log(sum_z);
    saved[2] = product / sum_z - std::log(sum_p);
  });
  double loss = 0;
  for (int64_t i = 0; i < all; ++i) loss -= c.saved[3 * i + 2];
  *c.loss = static_cast<A>(loss / static_cast<double>(all));
}

namespace {
/// Both gradients for one row of a pair: `saved` as the forward left it, c = dloss / (pairs * rows).
template <class T, class A = Acc<T>>
void row_gradient_p(const T* p, const T* z, const A* saved, A c, int channels, T* dp, bool add) {
  const A log_p = saved[0], log_z = saved[1];
  put_columns(dp, channels, add, [=](int j) {
    return c * (exponential(load_element(p + j) - log_p) - exponential(load_element(z + j) - log_z));
  });
}
template <class T, class A = Acc<T>>
void row_gradient_z(const T* p, const T* z, const A* saved, A c, int channels, T* dz, bool add) {
  const A log_p = saved[0], log_z = saved[1], mean = saved[2];
  put_columns(dz, channels, add, [=](int j) {
    return -c * exponential(load_element(z + j) - log_z) * (load_element(p + j) - log_p - mean);
  });
}
}  // namespace

template <class T>
void run(const SoftmaxSimilarityBackward<T>& c, Context& context) {
  using A = Acc<T>;
  const A scale = *c.dloss / static_cast<A>(int64_t{c.pairs} * c.rows);
  // A thread owns a row in all pairs, since gradients may share memory.
  each_row(c.rows, int64_t{c.pairs} * c.rows * c.channels, context, [=](int64_t row) {
    for (int k = 0; k < c.pairs; ++k) {
      const int64_t at = row * c.channels;
      const T *p = c.p[k] + at, *z = c.z[k] + at;
      const A* saved = c.saved + 3 * (int64_t{k} * c.rows + row);
      if (c.dp[k] != nullptr)
        row_gradient_p(p, z, saved, scale, c.channels, c.dp[k] + at, c.accumulate_dp[k]);
      if (c.dz[k] != nullptr)
        row_gradient_z(p, z, saved, scale, c.channels, c.dz[k] + at, c.accumulate_dz[k]);
    }
  });
}

template void run(const CrossEntropyForward<float>&, Context&);
template void run(const CrossEntropyForward<bf16>&, Context&);
template void run(const CrossEntropyForward<double>&, Context&);
template void run(const CrossEntropyBackward<float>&, Context&);
template void run(const CrossEntropyBackward<bf16>&, Context&);
template void run(const CrossEntropyBackward<double>&, Context&);
template void run(const SoftmaxSimilarityForward<float>&, Context&);
template void run(const SoftmaxSimilarityForward<bf16>&, Context&);
template void run(const SoftmaxSimilarityForward<double>&, Context&);
template void run(const SoftmaxSimilarityBackward<float>&, Context&);
template void run(const SoftmaxSimilarityBackward<bf16>&, Context&);
template void run(const SoftmaxSimilarityBackward<double>&, Context&);

}  // namespace stopgrad::cpu
