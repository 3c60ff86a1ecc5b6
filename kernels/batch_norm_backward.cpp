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
template <Mask mask, class T>
Acc<T> masked(const T* dy, const T* y, int64_t i, Acc<T> centered, Acc<T> scale, Acc<T> beta) {
  if constexpr (mask == Mask::from_x) return gated(load_element(dy + i), affine(centered, scale, beta));
  else if constexpr (mask == Mask::from_y) return gated(load_element(dy + i), load_element(y + i));
  else return load_element(dy + i);
}

template <Write write, class T>
void put(T* p, Acc<T> value) {
  if constexpr (write == Write::value) store_element(p, value);
  if constexpr (write == Write::sum) store_element(p, load_element(p) + value);
}

enum { kGrad, kGradDot, kSumVectors };  // vectors of a part: sum of dy', sum of dy' * (x - mean)

/// First pass: both sums lane by lane, and dresidual = dy'.
template <Mask mask, Write write, class T>
void add_sums(const BatchNormBackward<T>& call, const Strip& strip, const Vectors<Acc<T>>& maps, int g,
              Acc<T>* sum, Acc<T>* dot) {
  using A = Acc<T>;
  const A *means = maps.at(g, kMean), *scales = maps.at(g, kScale), *betas = maps.at(g, kBeta);
  for_each_step(strip, [&](auto rows, int64_t at, int n) {
#pragma omp simd
    for (int l = 0; l < n; ++l) {
      const A mean = means[l], scale = scales[l], beta = betas[l];
      A s = sum[l], d = dot[l];
      for (int k = 0; k < rows; ++k) {
        const int64_t i = at + int64_t{k} * strip.lanes + l;
        const A centered = load_element(call.x + i) - mean;
        const A grad = masked<mask>(call.dy, call.y, i, centered, scale, beta);
        put<write>(call.dresidual + i, grad);
        s += grad;
        d += grad * centered;
      }
      sum[l] = s;
      dot[l] = d;
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
  for (int c = 0; c < call.channels; ++c) {
    const A rstd = call.rstd[g * call.channels + c];
    const A dgamma = rstd * dot[c];
    if (call.dgamma) call.dgamma[c] = add_gamma ? call.dgamma[c] + dgamma : dgamma;
    if (call.dbeta) call.dbeta[c] = add_beta ? call.dbeta[c] + sum[c] : sum[c];
    maps.at(g, kGradMean)[c] = sum[c] / rows;
    maps.at(g, kSlope)[c] = rstd * (dgamma / rows);
  }
  for (int which : {kGradMean, kSlope}) maps.spread(g, which);
}

/// Second pass: dx = gamma * rstd * (dy' - mean(dy') - xhat * mean(dy' * xhat)).
template <Mask mask, Write write, class T>
void put_dx(const BatchNormBackward<T>& call, const T* dy, const Strip& strip, const Vectors<Acc<T>>& maps,
            int g) {
  using A = Acc<T>;
  const A *means = maps.at(g, kMean), *scales = maps.at(g, kScale), *betas = maps.at(g, kBeta);
  const A *grad_means = maps.at(g, kGradMean), *slopes = maps.at(g, kSlope);
  for_each_step(strip, [&](auto rows, int64_t at, int n) {
#pragma omp simd
    for (int l = 0; l < n; ++l) {
      const A mean = means[l], scale = scales[l], beta = betas[l], grad_mean = grad_means[l],
              slope = slopes[l];
      for (int k = 0; k < rows; ++k) {
        const int64_t i = at + int64_t{k} * strip.lanes + l;
        const A centered = load_element(call.x + i) - mean;
        const A grad = masked<mask>(dy, call.y, i, centered, scale, beta);
        put<write>(call.dx + i, scale * (grad - grad_mean - centered * slope));
      }
    }
  });
}

}  // namespace

template <class T>
void run(const BatchNormBackward<T>& call, Context& context) {
  using A = Acc<T>;
  ENSURE(!call.dx || call.dx != call.dresidual,
         "batch norm: dx and dresidual are the same memory; x cannot be its own residual, add it outside");
  const Cut cut(call.groups, call.rows, call.channels);
  const int owners = cut.groups * cut.parts;
  A* scratch =
      context.scratch_of<A>((owners * kSumVectors + cut.groups * kBackwardVectors) * Vectors<A>::stride(cut));
  const Vectors<A> parts{scratch, cut, kSumVectors}, maps{parts.at(owners, 0), cut, kBackwardVectors};
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
  for_each_part(cut, context, true, [&](int g, int p) {
    with(have_masked ? Mask::none : mask, [&](auto m) {
      if (call.accumulate_dx) put_dx<m(), Write::sum>(call, dy, cut.strip(g, p), maps, g);
      else put_dx<m(), Write::value>(call, dy, cut.strip(g, p), maps, g);
    });
  });
}

template void run(const BatchNormBackward<float>&, Context&);
template void run(const BatchNormBackward<bf16>&, Context&);
template void run(const BatchNormBackward<double>&, Context&);

}  // namespace stopgrad::cpu
