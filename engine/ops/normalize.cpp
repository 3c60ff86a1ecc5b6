#include "kernels/normalize.h"

#include "engine/ops.h"

namespace stopgrad {

namespace {
struct NormalizeNode : Node {
  Tensor y, inv_norm;
  bool of_parameter;  // whose gradient is kept in the type of sums
  NormalizeNode(const Tensor& out, const Tensor& saved, bool parameter)
      : y(out), inv_norm(saved), of_parameter(parameter) {}
  const char* name() const override { return "l2_normalize"; }
  template <class T, class Out>
  void backward_into(const Tensor& dy, Grads& grads) {
    const auto dx = grads.slot<Out>(0);
    launch(dy.device(), NormalizeBackward<T, Out>{y.rows(), y.channels(), dy.data<T>(), y.data<T>(),
                                                  inv_norm.data<Acc<T>>(), dx.data, dx.accumulate});
  }
  void backward(const Tensor& dy, Grads& grads) override {
    visit_float(dy.dtype(), [&](auto zero) {
      using T = decltype(zero);
      if (of_parameter) backward_into<T, Acc<T>>(dy, grads);
      else backward_into<T, T>(dy, grads);
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
  const bool of_parameter = x.index >= 0 && x.tape->entries()[static_cast<size_t>(x.index)].parameter;
  return x.tape->record(y, std::make_unique<NormalizeNode>(y, inv_norm, of_parameter), {x});
}

}  // namespace stopgrad
