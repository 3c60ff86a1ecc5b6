#include "kernels/elementwise.h"

#include "engine/ops.h"

namespace stopgrad {

namespace {

template <class T>
void pass_on(const Tensor& dy, double factor, Slot<T> to) {
  launch(dy.device(),
         Scale<T>{dy.count(), static_cast<Acc<T>>(factor), dy.data<T>(), to.data, to.accumulate});
}

struct AddNode : Node {
  const char* name() const override { return "add"; }
  void backward(const Tensor& dy, Grads& grads) override {
    visit_float(dy.dtype(), [&](auto zero) {
      using T = decltype(zero);
      for (int i : {0, 1})
        if (grads.wants(i)) pass_on<T>(dy, 1, grads.slot<T>(i));
    });
  }
};

struct ScaleNode : Node {
  double factor;
  explicit ScaleNode(double f) : factor(f) {}
  const char* name() const override { return "scale"; }
  std::string detail() const override { return fmt::format("{:.4g}", factor); }
  void backward(const Tensor& dy, Grads& grads) override {
    visit_float(dy.dtype(), [&](auto zero) {
      using T = decltype(zero);
      pass_on<T>(dy, factor, grads.slot<T>(0));
    });
  }
};

struct ReluNode : Node {
  Tensor y;
  explicit ReluNode(const Tensor& out) : y(out) {}
  const char* name() const override { return "relu"; }
  void backward(const Tensor& dy, Grads& grads) override {
    visit_float(dy.dtype(), [&](auto zero) {
      using T = decltype(zero);
      const auto dx = grads.slot<T>(0);
      launch(dy.device(), ReluBackward<T>{dy.count(), dy.data<T>(), y.data<T>(), dx.data, dx.accumulate});
    });
  }
};

}  // namespace

Var add(const Var& a, const Var& b) {
  ENSURE(a.shape() == b.shape(), "add: shapes {} and {} differ", a.shape(), b.shape());
  const Tensor y = like(a.value);
  visit_float(y.dtype(), [&](auto zero) {
    using T = decltype(zero);
    launch(y.device(), Add<T>{y.count(), a.value.data<T>(), b.value.data<T>(), y.data<T>()});
  });
  return a.tape->record(y, std::make_unique<AddNode>(), {a, b});
}

Var scale(const Var& x, double factor) {
  const Tensor y = like(x.value);
  visit_float(y.dtype(), [&](auto zero) {
    using T = decltype(zero);
    launch(y.device(),
           Scale<T>{y.count(), static_cast<Acc<T>>(factor), x.value.data<T>(), y.data<T>(), false});
  });
  return x.tape->record(y, std::make_unique<ScaleNode>(factor), {x});
}

Var relu(const Var& x) {
  const Tensor y = like(x.value);
  visit_float(y.dtype(), [&](auto zero) {
    using T = decltype(zero);
    launch(y.device(), ReluForward<T>{y.count(), x.value.data<T>(), y.data<T>()});
  });
  return x.tape->record(y, std::make_unique<ReluNode>(y), {x});
}

}  // namespace stopgrad
