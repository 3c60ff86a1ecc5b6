// The formula without speed: tests/reference/batch_norm.h.
#include "kernels/batch_norm.h"

#include <cmath>

#include "kernels/batch_norm_parts.h"

namespace stopgrad::cpu {

using namespace norm;

namespace {

enum { kSum, kSquare, kShift, kSumVectors, kPartMean = kSum, kPartM2 = kSquare };  // vectors of a part

/// Adds x - shift and its square, lane by lane; first over a block, as short sums are more exact.
template <class T>
void add_moments(const Strip& strip, const T* x, const Acc<T>* shift, Acc<T>* sum, Acc<T>* square) {
  using A = Acc<T>;
  for_each_block<T, false>(strip, [&](const auto& block) {
    Vector<A> s[block.vectors], q[block.vectors], from[block.vectors];
    for (int v = 0; v < block.vectors; ++v) {
      const int lane = block.lane + v * kLanes<A>;
      s[v] = q[v] = Vector<A>{}, from[v] = load(shift + lane);
    }
    block.template each<A>([&, x](int64_t i, int v, int64_t soon) {
      block.prefetch(x + soon, v);
      const Vector<A> d = block.load_from(x + i) - from[v];
      s[v] += d;
      q[v] += d * d;
    });
    for (int v = 0; v < block.vectors; ++v) {
      const int lane = block.lane + v * kLanes<A>;
      block.add_to(sum + lane, s[v]);
      block.add_to(square + lane, q[v]);
    }
  });
}

/// Sums over a strip of x - shift and of its square, per channel.
template <class T>
void shifted_sums(const Vectors<Acc<T>>& parts, int owner, const Strip& strip, const T* x) {
  parts.spread(owner, kShift);
  for (int which : {kSum, kSquare}) std::fill_n(parts.at(owner, which), strip.lanes, Acc<T>(0));
  add_moments(strip, x, parts.at(owner, kShift), parts.at(owner, kSum), parts.at(owner, kSquare));
  for (int which : {kSum, kSquare}) parts.fold(owner, which);
}

/// Mean and m2, the sum of squared distances from it, over one part. Its sums are shifted by the mean of its
/// head, a sixteenth: then sum of squares <= 17 * m2 (Cauchy-Schwarz), and no mean is large enough to drown
/// the variance.
template <class T>
void part_moments(const Vectors<Acc<T>>& parts, int g, int p, const T* x) {
  using A = Acc<T>;
  const Cut& cut = parts.cut;
  const Strip strip = cut.strip(g, p), head = strip.head();
  const int owner = g * cut.parts + p;
  A *sum = parts.at(owner, kSum), *square = parts.at(owner, kSquare), *shift = parts.at(owner, kShift);
  for (int c = 0; c < cut.channels; ++c) shift[c] = load_element(x + strip.begin + c);
  shifted_sums(parts, owner, head, x);
  const A head_rows = static_cast<A>((head.end - head.begin) / cut.row);
  for (int c = 0; c < cut.channels; ++c) shift[c] += sum[c] / head_rows;
  shifted_sums(parts, owner, strip, x);
  const A rows = static_cast<A>((strip.end - strip.begin) / cut.row);
  A *mean = parts.at(owner, kPartMean), *m2 = parts.at(owner, kPartM2);
#pragma omp simd
  for (int c = 0; c < cut.channels; ++c) {
    const A offset = sum[c] / rows;
    m2[c] = std::max(square[c] - sum[c] * offset, A(0));  // in this order NaN stays
    mean[c] = shift[c] + offset;
  }
}

/// Moments of a group, left with its first part (Chan, Golub and LeVeque 1979, the pairwise update).
template <class A>
void join_moments(const Vectors<A>& parts, int g) {
  const Cut& cut = parts.cut;
  const int first = g * cut.parts;
  join_pairwise(cut.parts, [&](int a, int b, int end) {
    const A left = static_cast<A>(cut.rows(a, b)), right = static_cast<A>(cut.rows(b, end));
    const A share = right / (left + right);
    A *mean = parts.at(first + a, kPartMean), *m2 = parts.at(first + a, kPartM2);
    const A *mean_b = parts.at(first + b, kPartMean), *m2_b = parts.at(first + b, kPartM2);
#pragma omp simd
    for (int c = 0; c < cut.channels; ++c) {
      const A delta = mean_b[c] - mean[c];
      mean[c] += delta * share;
      m2[c] += m2_b[c] + delta * delta * (left * share);
    }
  });
}

template <class T>
void save_statistics(const BatchNormForward<T>& call, int g, const Acc<T>* mean, const Acc<T>* m2) {
  using A = Acc<T>;
  const A rows = static_cast<A>(call.rows), unbiased = static_cast<A>(std::max(1, call.rows - 1));
  const A m = call.momentum, eps = call.eps;
  A *to_mean = call.mean + int64_t{g} * call.channels, *to_rstd = call.rstd + int64_t{g} * call.channels;
  A *running_mean = call.running_mean, *running_var = call.running_var;
#pragma omp simd
  for (int c = 0; c < call.channels; ++c) {
    to_mean[c] = mean[c];
    to_rstd[c] = 1 / std::sqrt(m2[c] / rows + eps);
  }
  if (running_mean) {
#pragma omp simd
    for (int c = 0; c < call.channels; ++c) running_mean[c] = (1 - m) * running_mean[c] + m * mean[c];
  }
  if (running_var) {
#pragma omp simd
    for (int c = 0; c < call.channels; ++c)
      running_var[c] = (1 - m) * running_var[c] + m * (m2[c] / unbiased);
  }
}

template <class T, class HasResidual, class HasRelu, class Stream>
void apply_strip(const Strip& strip, const Vectors<Acc<T>>& maps, int g, const T* x, const T* residual, T* y,
                 HasResidual, HasRelu, Stream) {
  using A = Acc<T>;
  const A *means = maps.at(g, kMean), *scales = maps.at(g, kScale), *betas = maps.at(g, kBeta);
  for_each_block<T, Stream::value>(strip, [=](const auto& block) {
    Vector<A> mean[block.vectors], scale[block.vectors], beta[block.vectors];
    for (int v = 0; v < block.vectors; ++v) {
      const int lane = block.lane + v * kLanes<A>;
      mean[v] = load(means + lane), scale[v] = load(scales + lane), beta[v] = load(betas + lane);
    }
    block.template each<A>([&, x, residual, y](int64_t i, int v, int64_t soon) {
      block.prefetch(x + soon, v);
      Vector<A> value = affine(block.load_from(x + i) - mean[v], scale[v], beta[v]);
      if constexpr (HasResidual::value) {
        block.prefetch(residual + soon, v);
        value += block.load_from(residual + i);
      }
      if constexpr (HasRelu::value) value = gated(value, value);
      block.template store_to<Stream::value>(y + i, value);
    });
  });
  if (Stream::value) fence_streams();
}

/// y = relu((x - mean) * scale + beta + residual)
template <class T>
void apply(const Vectors<Acc<T>>& maps, const T* x, const T* residual, bool relu, T* y, Context* context) {
  const bool past = streams(maps.cut, y, 2);
  for_each_part(maps.cut, context, true, [&](int g, int p) {
    with(residual, [&](auto has_residual) {
      with(relu, [&](auto has_relu) {
        with(past, [&](auto stream) {
          apply_strip(maps.cut.strip(g, p, true), maps, g, x, residual, y, has_residual, has_relu, stream);
        });
      });
    });
  });
}

template <class T>
void forward(const BatchNormForward<T>& call, const Cut& cut, Acc<T>* scratch, Context* context) {
  using A = Acc<T>;
  const Vectors<A> parts{scratch, cut, kSumVectors};
  const Vectors<A> maps{parts.at(cut.groups * cut.parts, 0), cut, kForwardVectors};
  for_each_part(cut, context, false, [&](int g, int p) { part_moments(parts, g, p, call.x); });
  for (int g = 0; g < cut.groups; ++g) {
    join_moments(parts, g);
    save_statistics(call, g, parts.at(g * cut.parts, kPartMean), parts.at(g * cut.parts, kPartM2));
    set_map<A>(maps, g, call.mean + g * cut.channels, call.rstd + g * cut.channels, call.gamma, call.beta);
  }
  apply(maps, call.x, call.residual, call.relu, call.y, context);
}

/// The columns [first, first + width) of one group.
template <class T>
BatchNormForward<T> columns_of(BatchNormForward<T> call, int g, int first, int width) {
  const int64_t to_group = int64_t{g} * call.channels + first;
  const int64_t at = int64_t{g} * call.rows * call.channels + first;
  call.x += at, call.y += at;
  call.mean += to_group, call.rstd += to_group;
  if (call.residual) call.residual += at;
  for (auto* vector : {&call.gamma, &call.beta})
    if (*vector) *vector += first;
  for (auto* vector : {&call.running_mean, &call.running_var})
    if (*vector) *vector += first;
  call.groups = 1;
  call.channels = width;
  return call;
}

}  // namespace

template <class T>
void run(const BatchNormForward<T>& call, Context& context) {
  run_cut<T>(call, 1, kSumVectors, kForwardVectors, context, columns_of<T>, forward<T>);
}

template <class T>
void run(const BatchNormInference<T>& call, Context& context) {
  using A = Acc<T>;
  const Cut cut(1, call.rows, call.channels);
  A* scratch = context.scratch_of<A>(kForwardVectors * Vectors<A>::stride(cut) + call.channels);
  const Vectors<A> maps{scratch, cut, kForwardVectors};
  A* rstd = maps.at(1, 0);
  for (int c = 0; c < call.channels; ++c) rstd[c] = 1 / std::sqrt(call.running_var[c] + call.eps);
  set_map<A>(maps, 0, call.running_mean, rstd, call.gamma, call.beta);
  apply(maps, call.x, call.residual, call.relu, call.y, &context);
}

template void run(const BatchNormForward<float>&, Context&);
template void run(const BatchNormForward<bf16>&, Context&);
template void run(const BatchNormForward<double>&, Context&);
template void run(const BatchNormInference<float>&, Context&);
template void run(const BatchNormInference<bf16>&, Context&);
template void run(const BatchNormInference<double>&, Context&);

}  // namespace stopgrad::cpu
