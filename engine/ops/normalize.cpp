#include "kernels/normalize.h"

#include "engine/ops.h"

namespace stopgrad {

namespace {
struct NormalizeNode : Node {
  Tensor y, inv_norm;
  NormalizeNode(const Tensor& out, const Tensor& saved) : y(out), inv_norm(saved) {}
  const char* name() const override { return "l2_normalize"; }
  void backward(const Tensor& dy, Grads& grads) override {
    visit_float(dy.dtype(), [&](auto zero) {
      using T = decltype(zero);
      const auto dx = grads.slot<T>(0);
      launch(dy.device(), NormalizeBackward<T>{y.rows(), y.channels(), dy.data<T>(), y.data<T>(),
                                               inv_norm.data<Acc<T>>(), dx.data, dx.accumulate});
    });
  }
};
}  // namespace

Var l2_normalize(const Var& x) {
  const Tensor y = like(x.value);
  const Tensor inv_norm(x.value.pool(), {x.shape().rows()}, acc_of(x.dtype()));
  visit_float(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    launch(y.device(), NormalizeForward<T>{y.rows(), y.channels(), x.value.data<T>(), y.data<T>(),
                                           inv_norm.data<Acc<T>>()});
  });
  return x.tape->record(y, std::make_unique<NormalizeNode>(y, inv_norm), {x});
}

}  // namespace stopgrad
