#include "kernels/conv2d.h"

#include "engine/ops.h"

namespace stopgrad {

namespace {
struct ConvNode : Node {
  Tensor x, w;
  ConvShape shape;
  ConvNode(const Tensor& input, const Tensor& weight, const ConvShape& s) : x(input), w(weight), shape(s) {}
  const char* name() const override { return "conv2d"; }
  std::string detail() const override {
    return fmt::format("{0}x{0}/{1} {2}->{3}", shape.kernel, shape.stride, shape.channels,
                       shape.out_channels);
  }

  void backward(const Tensor& dy, Grads& grads) override {
    visit_float(dy.dtype(), [&](auto zero) {
      using T = decltype(zero);
      if (grads.wants(1)) {
        const auto dw = grads.slot<Acc<T>>(1);
        launch(dy.device(), ConvBackwardWeight<T>{shape, x.data<T>(), dy.data<T>(), dw.data, dw.accumulate});
      }
      if (grads.wants(0)) {
        const auto dx = grads.slot<T>(0);
        launch(dy.device(), ConvBackwardInput<T>{shape, dy.data<T>(), w.data<T>(), dx.data, dx.accumulate});
      }
    });
  }
};
}  // namespace

Var conv2d(const Var& x, Parameter& w, int stride, int padding) {
  const Shape &in = x.shape(), &kernel = w.shape;
  ENSURE(in.rank() == 4 && kernel.rank() == 4 && in[3] == kernel[3] && kernel[1] == kernel[2],
         "conv2d: x is {} [N,H,W,C], the weight of {} is {} [O,k,k,C]", in, w.name, kernel);
  ENSURE(in[1] + 2 * padding >= kernel[1] && in[2] + 2 * padding >= kernel[1],
         "conv2d: images of {}x{} are smaller than the kernel of {}", in[1], in[2], kernel[1]);
  auto i = [](int64_t size) { return static_cast<int>(size); };
  const ConvShape s{i(in[0]), i(in[1]), i(in[2]), i(in[3]), i(kernel[0]), i(kernel[1]), stride, padding};
  Tape& tape = *x.tape;
  const Tensor y(x.value.pool(), {in[0], s.out_height(), s.out_width(), kernel[0]}, x.dtype());
  const Var weight = tape.leaf(w);
  visit_float(y.dtype(), [&](auto zero) {
    using T = decltype(zero);
    launch(y.device(), ConvForward<T>{s, x.value.data<T>(), weight.value.data<T>(), y.data<T>()});
  });
  return tape.record(y, std::make_unique<ConvNode>(x.value, weight.value, s), {x, weight});
}

}  // namespace stopgrad
