#pragma once
// Every differentiable operation on one page. Each checks shapes, launches a call, and records one node.
// Shapes are NHWC; [.., C] means any leading sizes. Shapes that do not fit are Error(Exit::failed) with both
// of them, before anything is launched.
#include <cstdint>

#include "engine/tape.h"

namespace stopgrad {

/// y = x, and the gradient stops: a wall that stays visible on the tape.
Var detach(const Var& x);

/// y = a + b, shapes equal
Var add(const Var& a, const Var& b);
/// y = factor * x
Var scale(const Var& x, double factor);
/// y = max(x, 0)
Var relu(const Var& x);
/// Part [begin, end) of the first dimension; shares memory, gradients go straight into x's.
Var rows(const Var& x, int64_t begin, int64_t end);
/// The rows of several matrices [N_i, C] under one another, in memory of their own.
Var join_rows(const std::vector<Var>& parts);
/// The same memory under another shape; gradients too.
Var reshape(const Var& x, Shape shape);

/// y[N, out] = x[N, in] w[in, out] (+ bias[out])
Var linear(const Var& x, Parameter& w, Parameter* bias);
/// y[N, M] = a[N, C] b[M, C]^T: every row of a times every row of b. y is in the type of sums: similarities
/// that a temperature divides need more digits than bf16 has.
Var matmul_transposed(const Var& a, const Var& b);
/// y[N, H', W', O] = x[N, H, W, C] * w[O, k, k, C], zero padding. Channels of x past w's must be zeros: they
/// round C up to what tensor cores want.
Var conv2d(const Var& x, Parameter& w, int stride, int padding);

/// What batch norm keeps besides gradients.
struct BatchNormState {
  Parameter *gamma = nullptr, *beta = nullptr;             // [C], or null: plain normalisation
  Buffer *running_mean = nullptr, *running_var = nullptr;  // [C]
  double eps = 1e-5, momentum = 0.1;
};

/// y = relu(gamma (x - mean) / sqrt(var + eps) + beta + residual) per channel; x[.., C], the leading rows
/// fall into `groups` equal parts (one per view) with statistics of their own. relu and residual are
/// optional.
Var batch_norm(const Var& x, const BatchNormState& state, int groups, bool update_running,
               bool with_relu = false, const Var* residual = nullptr);
/// The same map with the running statistics. Records nothing: evaluation runs on a tape that is off.
Var batch_norm_inference(const Var& x, const BatchNormState& state, bool with_relu = false,
                         const Var* residual = nullptr);

/// y[N, H', W', C] = max over kernel x kernel windows
Var max_pool(const Var& x, int kernel, int stride, int padding);
/// y[N, C] = mean of x[N, :, :, C]
Var global_average_pool(const Var& x);
/// y = x / max(|x|, 1e-12) per row
Var l2_normalize(const Var& x);

/// One direction of a similarity loss: prediction p[N, d] against target z[N, d] (usually behind a wall).
struct Direction {
  Var p, z;
};
/// loss = mean over directions and rows of -p^ . z^, a number in [-1, 1] (SimSiam eq. 1, 2)
Var cosine_loss(const std::vector<Direction>& directions);
/// loss = mean over directions and rows of -softmax(z) . log softmax(p) (SimSiam section 4.5)
Var softmax_similarity(const std::vector<Direction>& directions);
/// log q[N, K] of scores[N, K]: the codes of SwAV (kernels/sinkhorn.h). Scores must be behind a wall: the
/// codes have no gradient.
Var sinkhorn(const Var& scores, double epsilon, int iterations);
/// loss = mean of -log softmax(logits[N, K])[label]; labels are int32 [N]. With left_out, int32 [N, 2], the
/// softmax of a row leaves out the classes [begin, end) but its label's.
Var cross_entropy(const Var& logits, const Tensor& labels, const Tensor& left_out = {});

}  // namespace stopgrad
