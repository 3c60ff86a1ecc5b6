#include "engine/ops.h"
#include "kernels/softmax_loss.h"

namespace stopgrad {

namespace {
struct CrossEntropyNode : Node {
  Tensor labels, probability;
  DType dtype;
  CrossEntropyNode(const Tensor& l, const Tensor& p, DType t) : labels(l), probability(p), dtype(t) {}
  const char* name() const override { return "cross_entropy"; }
  void backward(const Tensor& dloss, Grads& grads) override {
    visit_float(dtype, [&](auto zero) {
      using T = decltype(zero);
      const auto d = grads.slot<T>(0);
      launch(dloss.device(),
             CrossEntropyBackward<T>{probability.rows(), probability.channels(), labels.data<int32_t>(),
                                     probability.data<Acc<T>>(), dloss.data<Acc<T>>(), d.data, d.accumulate});
    });
  }
};
}  // namespace

Var cross_entropy(const Var& logits, const Tensor& labels, const Tensor& left_out) {
  const Shape& s = logits.shape();
  ENSURE(s.rank() == 2 && labels.shape() == Shape{s[0]}, "cross_entropy: logits are {}, labels {}", s,
         labels.shape());
  ENSURE(!left_out.defined() || left_out.shape() == Shape({s[0], 2}),
         "cross_entropy: logits are {}, the classes left out {}, not [{},2]", s, left_out.shape(), s[0]);
  const DType sums = acc_of(logits.dtype());
  const Tensor loss(logits.value.pool(), {}, sums), probability(logits.value.pool(), s, sums);
  visit_float(logits.dtype(), [&](auto zero) {
    using T = decltype(zero);
    launch(loss.device(),
           CrossEntropyForward<T>{probability.rows(), probability.channels(), logits.value.data<T>(),
                                  labels.data<int32_t>(), loss.data<Acc<T>>(), probability.data<Acc<T>>(),
                                  left_out.data<int32_t>()});
  });
  return logits.tape->record(loss, std::make_unique<CrossEntropyNode>(labels, probability, logits.dtype()),
                             {logits});
}

}  // namespace stopgrad
