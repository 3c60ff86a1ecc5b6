#pragma once
// What each call must move and compute at least: bytes that it reads and writes in memory, counted once per
// pass that its algorithm needs, and operations of its formula (a multiplication, an addition, a comparison
// or a function is one). One pair of functions per call; a call without one has no benchmark, which is an
// error. Vectors of one number per row or channel are counted where they are written or read once; statistics
// of a batch norm are negligible and not.
#include "kernels/augment.h"
#include "kernels/batch_norm.h"
#include "kernels/conv2d.h"
#include "kernels/copy_columns.h"
#include "kernels/cosine_loss.h"
#include "kernels/elementwise.h"
#include "kernels/gemm.h"
#include "kernels/lars.h"
#include "kernels/normalize.h"
#include "kernels/pool.h"
#include "kernels/reduce.h"
#include "kernels/sgd.h"
#include "kernels/sinkhorn.h"
#include "kernels/softmax_loss.h"
#include "kernels/topk.h"

namespace stopgrad::bench {

/// Bytes in memory and operations of one run of a call.
struct Work {
  double bytes, operations;
};

// Batch norm in two passes: one for the statistics, which needs all of x before the first y can be written.
template <class T>
Work work_of(const BatchNormForward<T>& c) {
  const double n = double(c.groups) * c.rows * c.channels;
  return {n * sizeof(T) * (3 + (c.residual != nullptr)), n * (5 + (c.residual != nullptr) + c.relu)};
}
template <class T>
Work work_of(const BatchNormInference<T>& c) {
  const double n = double(c.rows) * c.channels;
  return {n * sizeof(T) * (2 + (c.residual != nullptr)), n * (2 + (c.residual != nullptr) + c.relu)};
}
/// First dy and x (and y for the mask of a residual's ReLU), then both again and dx, which may be added to.
template <class T>
Work work_of(const BatchNormBackward<T>& c) {
  const double n = double(c.groups) * c.rows * c.channels;
  const bool residual = c.dresidual != nullptr, mask = c.relu && c.has_residual;
  return {n * sizeof(T) *
              (4 + 2 * mask + (c.dx != nullptr) + c.accumulate_dx + residual +
               (residual && c.accumulate_dresidual)),
          n * (10 + c.relu + c.accumulate_dx)};
}

template <class T>
Work work_of(const CosineLossForward<T>& c) {
  const double n = double(c.pairs) * c.rows * c.channels;
  return {2 * n * sizeof(T) + 3.0 * sizeof(Acc<T>) * c.pairs * c.rows, 6 * n};
}
/// How many gradients of a loss over pairs are wanted, and how many of them are added to.
template <class Call>
double gradients_of(const Call& c, bool added = false) {
  double sides = 0;
  for (int k = 0; k < c.pairs; ++k)
    sides += (c.dp[k] && (!added || c.accumulate_dp[k])) + (c.dz[k] && (!added || c.accumulate_dz[k]));
  return sides;
}
template <class T>
Work work_of(const CosineLossBackward<T>& c) {
  const double n = double(c.rows) * c.channels, sides = gradients_of(c);
  return {
      n * sizeof(T) * (2 * c.pairs + sides + gradients_of(c, true)) + 3.0 * sizeof(Acc<T>) * c.pairs * c.rows,
      4 * n * sides};
}

template <class T>
Work work_of(const CopyColumns<T>& c) {
  return {double(c.rows) * (c.from + c.to * (1 + c.accumulate)) * sizeof(T),
          double(c.rows) * c.to * c.accumulate};
}

/// Every image once per view as bytes (a crop reads less), every view once.
template <class T>
Work work_of(const Augment<T>& c) {
  const double views = double(c.views) * c.count, in = double(c.height) * c.width * c.channels;
  const double out = double(c.out_height) * c.out_width;
  // Per value: 8 of a bilinear sample, brightness 1, contrast 2 + 2 of its mean, saturation 2, normalise 2.
  return {views * (in + out * c.stored_channels * sizeof(T)), views * out * c.channels * 17};
}

template <class T>
Work work_of(const SgdStep<T>& c) {
  const double n = double(c.count);
  return {n * (5 * sizeof(Acc<T>) + (c.compute ? sizeof(T) : 0)), 6 * n};
}
/// First g and w for the lengths, then the update of SGD.
template <class T>
Work work_of(const LarsStep<T>& c) {
  double n = 0;
  for (int k = 0; k < c.chunks; ++k) n += c.chunk[k].count;
  return {n * (7 * sizeof(Acc<T>) + (c.compute ? sizeof(T) : 0)), 12 * n};
}
/// The scores once per division, of columns and of rows; the last one writes log q.
template <class T>
Work work_of(const Sinkhorn<T>& c) {
  const double n = double(c.rows) * c.channels;
  return {n * sizeof(T) * (2 * c.iterations + 1), 8 * n * c.iterations};
}
template <class T>
Work work_of(const MovingAverage<T>& c) {
  return {3.0 * sizeof(T) * c.count, 3.0 * c.count};
}

/// Multiplications and additions of the definition; taps in the padding count as in the literature.
inline double operations_of(const ConvShape& s) {
  return 2.0 * s.images * s.out_height() * s.out_width() * s.out_channels * s.kernel * s.kernel * s.channels;
}
inline double inputs_of(const ConvShape& s) { return 1.0 * s.images * s.height * s.width * s.channels; }
inline double weights_of(const ConvShape& s) {
  return 1.0 * s.out_channels * s.kernel * s.kernel * s.channels;
}
inline double outputs_of(const ConvShape& s) {
  return 1.0 * s.images * s.out_height() * s.out_width() * s.out_channels;
}
template <class T>
Work work_of(const ConvForward<T>& c) {
  return {(inputs_of(c.shape) + weights_of(c.shape) + outputs_of(c.shape)) * sizeof(T),
          operations_of(c.shape)};
}
template <class T>
Work work_of(const ConvBackwardInput<T>& c) {
  return {(inputs_of(c.shape) * (1 + c.accumulate) + weights_of(c.shape) + outputs_of(c.shape)) * sizeof(T),
          operations_of(c.shape)};
}
template <class T>
Work work_of(const ConvBackwardWeight<T>& c) {
  return {(inputs_of(c.shape) + outputs_of(c.shape)) * sizeof(T) +
              weights_of(c.shape) * (1 + c.accumulate) * sizeof(Acc<T>),
          operations_of(c.shape)};
}
template <class T, class Out>
Work work_of(const Gemm<T, Out>& c) {
  const double m = c.m, n = c.n, k = c.k;
  return {(m * k + k * n) * sizeof(T) + m * n * (1 + c.accumulate) * sizeof(Out), 2 * m * n * k};
}

template <class T>
Work work_of(const MaxPoolForward<T>& c) {
  const double in = double(c.images) * c.height * c.width * c.channels;
  const double out = double(c.images) * c.out_height() * c.out_width() * c.channels;
  return {in * sizeof(T) + out * (sizeof(T) + 1), out * c.kernel * c.kernel};
}
template <class T>
Work work_of(const MaxPoolBackward<T>& c) {
  const double in = double(c.images) * c.height * c.width * c.channels;
  const double out = double(c.images) * c.out_height() * c.out_width() * c.channels;
  return {in * sizeof(T) * (1 + c.accumulate) + out * (sizeof(T) + 1), out};
}
template <class T>
Work work_of(const AveragePoolForward<T>& c) {
  const double n = double(c.images) * c.channels;
  return {n * (c.pixels + 1.0) * sizeof(T), n * (c.pixels + 1.0)};
}
template <class T>
Work work_of(const AveragePoolBackward<T>& c) {
  const double n = double(c.images) * c.channels;
  return {n * (c.pixels * (1.0 + c.accumulate) + 1) * sizeof(T), n * (1.0 + c.accumulate * c.pixels)};
}

template <class T>
Work work_of(const Add<T>& c) {
  return {3.0 * sizeof(T) * c.count, 1.0 * c.count};
}
template <class T>
Work work_of(const Scale<T>& c) {
  return {(2.0 + c.accumulate) * sizeof(T) * c.count, (1.0 + c.accumulate) * c.count};
}
template <class T>
Work work_of(const ReluForward<T>& c) {
  return {2.0 * sizeof(T) * c.count, 1.0 * c.count};
}
template <class T>
Work work_of(const ReluBackward<T>& c) {
  return {(3.0 + c.accumulate) * sizeof(T) * c.count, (1.0 + c.accumulate) * c.count};
}
template <class From, class To>
Work work_of(const Cast<From, To>& c) {
  return {double(sizeof(From) + sizeof(To)) * c.count, 1.0 * c.count};
}
template <class T>
Work work_of(const Fill<T>& c) {
  return {1.0 * sizeof(T) * c.count, 0};
}

template <class T>
Work work_of(const NormalizeForward<T>& c) {
  const double n = double(c.rows) * c.channels;
  return {2 * n * sizeof(T) + 1.0 * sizeof(Acc<T>) * c.rows, 3 * n};
}
template <class T>
Work work_of(const NormalizeBackward<T>& c) {
  const double n = double(c.rows) * c.channels;
  return {(3.0 + c.accumulate) * n * sizeof(T) + 1.0 * sizeof(Acc<T>) * c.rows, (5.0 + c.accumulate) * n};
}

template <class T>
Work work_of(const CrossEntropyForward<T>& c) {
  const double n = double(c.rows) * c.classes;
  return {n * (sizeof(T) + sizeof(Acc<T>)) + 4.0 * c.rows, 5 * n};
}
template <class T>
Work work_of(const CrossEntropyBackward<T>& c) {
  const double n = double(c.rows) * c.classes;
  return {n * (sizeof(Acc<T>) + (1.0 + c.accumulate) * sizeof(T)) + 4.0 * c.rows, (1.0 + c.accumulate) * n};
}
template <class T>
Work work_of(const SoftmaxSimilarityForward<T>& c) {
  const double n = double(c.pairs) * c.rows * c.channels;
  return {2 * n * sizeof(T) + 3.0 * sizeof(Acc<T>) * c.pairs * c.rows, 10 * n};
}
template <class T>
Work work_of(const SoftmaxSimilarityBackward<T>& c) {
  const double n = double(c.rows) * c.channels, sides = gradients_of(c);
  return {
      n * sizeof(T) * (2 * c.pairs + sides + gradients_of(c, true)) + 3.0 * sizeof(Acc<T>) * c.pairs * c.rows,
      6 * n * sides};
}

/// A comparison per value; the few that enter the best are not counted.
inline Work work_of(const TopK& c) {
  return {4.0 * c.rows * c.count + 12.0 * c.rows * c.k * (c.fresh ? 1 : 2), 1.0 * c.rows * c.count};
}
template <class T>
Work work_of(const Summary<T>& c) {
  return {1.0 * sizeof(T) * c.count, 4.0 * c.count};
}
template <class T>
Work work_of(const ColumnSum<T>& c) {
  return {double(c.rows) * c.channels * sizeof(T) + 1.0 * sizeof(Acc<T>) * c.channels,
          double(c.rows) * c.channels};
}
/// Every row twice: its length first, then its place in the mean and the deviation.
template <class T>
Work work_of(const UnitRowStatistics<T>& c) {
  const double n = double(c.rows) * c.channels;
  return {2 * n * sizeof(T) + 16.0 * c.channels, 6 * n};
}

}  // namespace stopgrad::bench
