// The two losses of SimSiam, cosine_loss and softmax_similarity: directions in, one number out. They share
// everything but the call.
#include "kernels/cosine_loss.h"
#include "engine/ops.h"
#include "kernels/softmax_loss.h"

namespace stopgrad {

namespace {

/// Inputs: p of direction 0, z of direction 0, p of direction 1, ... The target behind a wall gives a null
/// slot, so that side is not computed.
template <template <class> class Backward>
struct SimilarityNode : Node {
  std::vector<Tensor> p, z;
  Tensor saved;
  const char* label = "";
  const char* name() const override { return label; }

  void backward(const Tensor& dloss, Grads& grads) override {
    visit_float(p[0].dtype(), [&](auto zero) {
      using T = decltype(zero);
      Backward<T> call{};
      call.pairs = static_cast<int>(p.size());
      call.rows = p[0].rows();
      call.channels = p[0].channels();
      call.saved = saved.data<Acc<T>>();
      call.dloss = dloss.data<Acc<T>>();
      for (int i = 0; i < call.pairs; ++i) {
        const auto k = static_cast<size_t>(i);
        call.p[i] = p[k].template data<T>();
        call.z[i] = z[k].template data<T>();
        const auto dp = grads.slot<T>(2 * i);  // in the order in which the call writes: two may be one tensor
        const auto dz = grads.slot<T>(2 * i + 1);
        call.dp[i] = dp.data;
        call.dz[i] = dz.data;
        call.accumulate_dp[i] = dp.accumulate;
        call.accumulate_dz[i] = dz.accumulate;
      }
      launch(dloss.device(), call);
    });
  }
};

template <template <class> class Forward, template <class> class Backward>
Var similarity(const char* label, const std::vector<Direction>& directions) {
  ENSURE(!directions.empty() && directions.size() <= kMaxPairs, "{}: {} directions, 1 to {} are possible",
         label, directions.size(), kMaxPairs);
  const Var& first = directions[0].p;
  ENSURE(first.shape().rank() == 2 && first.value.rows() > 0, "{}: p is {}, not [N, d]", label,
         first.shape());
  auto node = std::make_unique<SimilarityNode<Backward>>();
  node->label = label;
  std::vector<Var> inputs;
  for (const Direction& d : directions) {
    ENSURE(d.p.shape() == first.shape() && d.z.shape() == first.shape(), "{}: shapes {}, {} and {} differ",
           label, first.shape(), d.p.shape(), d.z.shape());
    inputs.push_back(d.p);
    inputs.push_back(d.z);
    node->p.push_back(d.p.value);
    node->z.push_back(d.z.value);
  }
  const DType sums = acc_of(first.dtype());
  const Tensor loss(first.value.pool(), {}, sums);
  node->saved =
      Tensor(first.value.pool(), {static_cast<int64_t>(directions.size()), first.shape()[0], 3}, sums);
  visit_float(first.dtype(), [&](auto zero) {
    using T = decltype(zero);
    Forward<T> call{};
    call.pairs = static_cast<int>(directions.size());
    call.rows = first.value.rows();
    call.channels = first.value.channels();
    call.loss = loss.data<Acc<T>>();
    call.saved = node->saved.template data<Acc<T>>();
    for (size_t i = 0; i < directions.size(); ++i) {
      call.p[i] = directions[i].p.value.template data<T>();
      call.z[i] = directions[i].z.value.template data<T>();
    }
    launch(loss.device(), call);
  });
  return first.tape->record(loss, std::move(node), inputs);
}

}  // namespace

Var cosine_loss(const std::vector<Direction>& directions) {
  return similarity<CosineLossForward, CosineLossBackward>("cosine_loss", directions);
}

Var softmax_similarity(const std::vector<Direction>& directions) {
  return similarity<SoftmaxSimilarityForward, SoftmaxSimilarityBackward>("softmax_similarity", directions);
}

}  // namespace stopgrad
