// The formula without speed: tests/reference/batch_norm.h.
#include "kernels/batch_norm.h"
#include "kernels/batch_norm_parts.h"

namespace stopgrad::cpu {

using namespace norm;

namespace {

enum class Mask { none, from_x, from_y };  // what tells where the ReLU let a value pass
enum class Write { nothing, value, sum };  // what becomes of an output: left alone, set, added to

template <auto value>
using Constant = std::integral_constant<decltype(value), value>;

template <class F>
void with(Mask mask, F f) {
  if (mask == Mask::none) f(Constant<Mask::none>{});
  else if (mask == Mask::from_x) f(Constant<Mask::from_x>{});
  else f(Constant<Mask::from_y>{});
}

/// dy', the gradient behind the ReLU, at element i.
template <Mask mask, class T, class B>
Vector<Acc<T>> masked(const B& block, const T* dy, const T* y, int64_t i, const Vector<Acc<T>>& centered,
                      const Vector<Acc<T>>& scale, const Vector<Acc<T>>& beta) {
  const Vector<Acc<T>> grad = block.load_from(dy + i);
  if constexpr (mask == Mask::from_x) return gated(grad, affine(centered, scale, beta));
  else if constexpr (mask == Mask::from_y) return gated(grad, block.load_from(y + i));
  else return grad;
}

template <Write write, bool stream, class T, class B>
void put(const B& block, T* p, const Vector<Acc<T>>& value) {
  if constexpr (write == Write::value) block.template store_to<stream>(p, value);
  if constexpr (write == Write::sum) block.template store_to<false>(p, block.load_from(p) + value);
}

enum { kGrad, kGradDot, kSumVectors };  // vectors of a part: sum of dy', sum of dy' * (x - mean)

/// First pass: both sums lane by lane, first over a block, and dresidual = dy'.
template <Mask mask, Write write, class T>
void add_sums(const BatchNormBackward<T>& call, const Strip& strip, const Vectors<Acc<T>>& maps, int g,
              Acc<T>* sum, Acc<T>* dot) {
  using A = Acc<T>;
  const A *means = maps.at(g, kMean), *scales = maps.at(g, kScale), *betas = maps.at(g, kBeta);
  const T *x = call.x, *dy = call.dy, *y = call.y;
  T* const dresidual = call.dresidual;
  for_each_block<T, false>(strip, [=](const auto& block) {
    constexpr int n = std::decay_t<decltype(block)>::vectors;
    Vector<A> mean[n], scale[n], beta[n], s[n], d[n];
    for (int v = 0; v < n; ++v) {
      const int lane = block.lane + v * kLanes<A>;
      mean[v] = load(means + lane), scale[v] = load(scales + lane), beta[v] = load(betas + lane);
      s[v] = d[v] = Vector<A>{};
    }
    block.template each<A>([&, x, dy, y, dresidual](int64_t i, int v, int64_t soon) {
      block.prefetch(x + soon, v);
      block.prefetch(dy + soon, v);
      const Vector<A> centered = block.load_from(x + i) - mean[v];
      const Vector<A> grad = masked<mask>(block, dy, y, i, centered, scale[v], beta[v]);
      put<write, false>(block, dresidual + i, grad);
      s[v] += grad;
      d[v] += grad * centered;
    });
    for (int v = 0; v < n; ++v) {
      const int lane = block.lane + v * kLanes<A>;
      block.add_to(sum + lane, s[v]);
      block.add_to(dot + lane, d[v]);
    }
  });
}

template <class T>
void part_sums(const BatchNormBackward<T>& call, Mask from, const Vectors<Acc<T>>& maps,
               const Vectors<Acc<T>>& parts, int g, int p) {
  const Cut& cut = parts.cut;
  const Strip strip = cut.strip(g, p);
  const int owner = g * cut.parts + p;
  Acc<T>*sum = parts.at(owner, kGrad), *dot = parts.at(owner, kGradDot);
  std::fill_n(sum, cut.lanes, Acc<T>(0));
  std::fill_n(dot, cut.lanes, Acc<T>(0));
  with(from, [&](auto mask) {
    constexpr Mask m = decltype(mask)::value;
    if (!call.dresidual) add_sums<m, Write::nothing>(call, strip, maps, g, sum, dot);
    else if (call.accumulate_dresidual) add_sums<m, Write::sum>(call, strip, maps, g, sum, dot);
    else add_sums<m, Write::value>(call, strip, maps, g, sum, dot);
  });
  parts.fold(owner, kGrad);
  parts.fold(owner, kGradDot);
}

/// Sums of a group, left with its first part.
template <class A>
void join_sums(const Vectors<A>& parts, int g) {
  const Cut& cut = parts.cut;
  join_pairwise(cut.parts, [&](int a, int b, int) {
    for (int which : {kGrad, kGradDot}) {
      A* sum = parts.at(g * cut.parts + a, which);
      const A* other = parts.at(g * cut.parts + b, which);
#pragma omp simd
      for (int c = 0; c < cut.channels; ++c) sum[c] += other[c];
    }
  });
}

/// dgamma = sum of dy' * xhat and dbeta = sum of dy', over the groups too; and what the second pass needs:
/// mean(dy'), and slope = rstd * mean(dy' * xhat).
template <class T>
void use_sums(const BatchNormBackward<T>& call, const Vectors<Acc<T>>& maps, int g, const Acc<T>* sum,
              const Acc<T>* dot) {
  using A = Acc<T>;
  const A rows = static_cast<A>(call.rows);
  const bool add_gamma = g > 0 || call.accumulate_dgamma, add_beta = g > 0 || call.accumulate_dbeta;
  const A* rstd = call.rstd + int64_t{g} * call.channels;
  A *dgamma = call.dgamma, *dbeta = call.dbeta, *grad_mean = maps.at(g, kGradMean),
    *slope = maps.at(g, kSlope);
#pragma omp simd
  for (int c = 0; c < call.channels; ++c) {
    grad_mean[c] = sum[c] / rows;
    slope[c] = rstd[c] * (rstd[c] * dot[c] / rows);
  }
  if (dgamma) {
#pragma omp simd
    for (int c = 0; c < call.channels; ++c) dgamma[c] = (add_gamma ? dgamma[c] : A(0)) + rstd[c] * dot[c];
  }
  if (dbeta) {
#pragma omp simd
    for (int c = 0; c < call.channels; ++c) dbeta[c] = (add_beta ? dbeta[c] : A(0)) + sum[c];
  }
  for (int which : {kGradMean, kSlope}) maps.spread(g, which);
}

/// Second pass: dx = gamma * rstd * (dy' - mean(dy') - xhat * mean(dy' * xhat)).
template <Mask mask, Write write, bool stream, class T>
void put_dx(const BatchNormBackward<T>& call, const T* dy, const Strip& strip, const Vectors<Acc<T>>& maps,
            int g) {
  using A = Acc<T>;
  const A *means = maps.at(g, kMean), *scales = maps.at(g, kScale), *betas = maps.at(g, kBeta);
  const A *grad_means = maps.at(g, kGradMean), *slopes = maps.at(g, kSlope);
  const T *x = call.x, *y = call.y;
  T* const dx = call.dx;
  for_each_block<T, stream>(strip, [=](const auto& block) {
    constexpr int n = std::decay_t<decltype(block)>::vectors;
    Vector<A> mean[n], scale[n], beta[n], grad_mean[n], slope[n];
    for (int v = 0; v < n; ++v) {
      const int lane = block.lane + v * kLanes<A>;
      mean[v] = load(means + lane), scale[v] = load(scales + lane), beta[v] = load(betas + lane);
      grad_mean[v] = load(grad_means + lane), slope[v] = load(slopes + lane);
    }
    block.template each<A>([&, x, dy, y, dx](int64_t i, int v, int64_t soon) {
      const Vector<A> centered = block.load_from(x + i) - mean[v];
      block.prefetch(x + soon, v);
      block.prefetch(dy + soon, v);
      const Vector<A> grad = masked<mask>(block, dy, y, i, centered, scale[v], beta[v]);
      put<write, stream>(block, dx + i, scale[v] * (grad - grad_mean[v] - centered * slope[v]));
    });
  });
  if (stream) fence_streams();
}

template <class T>
void backward(const BatchNormBackward<T>& call, const Cut& cut, Acc<T>* scratch, Context* context) {
  using A = Acc<T>;
  const Vectors<A> parts{scratch, cut, kSumVectors};
  const Vectors<A> maps{parts.at(cut.groups * cut.parts, 0), cut, kBackwardVectors};
  for (int g = 0; g < cut.groups; ++g)
    set_map<A>(maps, g, call.mean + g * cut.channels, call.rstd + g * cut.channels, call.gamma, call.beta);
  const Mask mask = !call.relu ? Mask::none : call.has_residual ? Mask::from_y : Mask::from_x;
  for_each_part(cut, context, false, [&](int g, int p) { part_sums(call, mask, maps, parts, g, p); });
  for (int g = 0; g < cut.groups; ++g) {
    join_sums(parts, g);
    use_sums(call, maps, g, parts.at(g * cut.parts, kGrad), parts.at(g * cut.parts, kGradDot));
  }
  if (!call.dx) return;
  // A dresidual that was set is dy', so the second pass needs neither dy nor y.
  const bool have_masked = mask == Mask::from_y && call.dresidual && !call.accumulate_dresidual;
  const T* dy = have_masked ? call.dresidual : call.dy;
  const bool past = streams(cut, call.dx, 3);
  for_each_part(cut, context, true, [&](int g, int p) {
    with(have_masked ? Mask::none : mask, [&](auto m) {
      const Strip strip = cut.strip(g, p, true);
      if (call.accumulate_dx) put_dx<m(), Write::sum, false>(call, dy, strip, maps, g);
      else if (past) put_dx<m(), Write::value, true>(call, dy, strip, maps, g);
      else put_dx<m(), Write::value, false>(call, dy, strip, maps, g);
    });
  });
}

/// The columns [first, first + width) of one group; its sums come on top of those of the groups before.
template <class T>
BatchNormBackward<T> columns_of(BatchNormBackward<T> call, int g, int first, int width) {
  const int64_t to_group = int64_t{g} * call.channels + first;
  const int64_t at = int64_t{g} * call.rows * call.channels + first;
  call.x += at, call.dy += at;
  call.mean += to_group, call.rstd += to_group;
  if (call.y) call.y += at;
  for (T** matrix : {&call.dx, &call.dresidual})
    if (*matrix) *matrix += at;
  for (auto* vector : {&call.gamma, &call.beta})
    if (*vector) *vector += first;
  for (auto* vector : {&call.dgamma, &call.dbeta})
    if (*vector) *vector += first;
  call.accumulate_dgamma |= g > 0;
  call.accumulate_dbeta |= g > 0;
  call.groups = 1;
  call.channels = width;
  return call;
}

}  // namespace

template <class T>
void run(const BatchNormBackward<T>& call, Context& context) {
  ENSURE(!call.dx || call.dx != call.dresidual,
         "batch norm: dx and dresidual are the same memory; x cannot be its own residual, add it outside");
  run_cut<T>(call, 2, kSumVectors, kBackwardVectors, context, columns_of<T>, backward<T>);
}

template void run(const BatchNormBackward<float>&, Context&);
template void run(const BatchNormBackward<bf16>&, Context&);
template void run(const BatchNormBackward<double>&, Context&);

}  // namespace stopgrad::cpu
