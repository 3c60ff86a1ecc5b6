#include "engine/ops.h"
#include "kernels/gemm.h"
#include "kernels/reduce.h"

namespace stopgrad {

namespace {
struct LinearNode : Node {
  Tensor x, w;
  bool has_bias;
  LinearNode(const Tensor& input, const Tensor& weight, bool bias) : x(input), w(weight), has_bias(bias) {}
  const char* name() const override { return "linear"; }
  std::string detail() const override { return fmt::format("{}->{}", w.shape()[0], w.shape()[1]); }

  void backward(const Tensor& dy, Grads& grads) override {
    const int n = x.rows(), in = x.channels(), out = dy.channels();
    visit_float(dy.dtype(), [&](auto zero) {
      using T = decltype(zero);
      if (grads.wants(0)) {
        const auto dx = grads.slot<T>(0);  // dx = dy w^T
        launch(dy.device(), Gemm<T, T>{n, in, out, false, true, dy.data<T>(), w.data<T>(), dx.data,
                                       dx.accumulate, nullptr});
      }
      if (grads.wants(1)) {
        const auto dw = grads.slot<Acc<T>>(1);  // dw = x^T dy
        launch(dy.device(), Gemm<T, Acc<T>>{in, out, n, true, false, x.data<T>(), dy.data<T>(), dw.data,
                                            dw.accumulate, nullptr});
      }
      if (has_bias && grads.wants(2)) {
        const auto db = grads.slot<Acc<T>>(2);
        launch(dy.device(), ColumnSum<T>{n, out, dy.data<T>(), db.data, db.accumulate});
      }
    });
  }
};
}  // namespace

Var linear(const Var& x, Parameter& w, Parameter* bias) {
  ENSURE(x.shape().rank() == 2 && w.shape.rank() == 2 && x.shape()[1] == w.shape[0],
         "linear: x is {}, the weight of {} is {} ([in, out])", x.shape(), w.name, w.shape);
  ENSURE(!bias || bias->shape == Shape{w.shape[1]}, "linear: bias {} for weight {}", bias->shape, w.shape);
  Tape& tape = *x.tape;
  const Tensor y(x.value.pool(), {x.shape()[0], w.shape[1]}, x.dtype());
  const Var weight = tape.leaf(w);
  const Var shift = bias ? tape.leaf(*bias) : Var{};
  visit_float(y.dtype(), [&](auto zero) {
    using T = decltype(zero);
    launch(y.device(), Gemm<T, T>{y.rows(), y.channels(), x.value.channels(), false, false, x.value.data<T>(),
                                  weight.value.data<T>(), y.data<T>(), false,
                                  bias ? bias->value.data<Acc<T>>() : nullptr});
  });
  std::vector<Var> inputs = {x, weight};
  if (bias) inputs.push_back(shift);
  return tape.record(y, std::make_unique<LinearNode>(x.value, weight.value, bias != nullptr), inputs);
}

}  // namespace stopgrad
