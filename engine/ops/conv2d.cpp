#include "kernels/conv2d.h"

#include "engine/ops.h"
#include "kernels/copy_columns.h"

namespace stopgrad {

namespace {

/// A weight [O, k, k, C] with `channels` of them, those past C zero.
Tensor widened(const Tensor& w, int64_t channels) {
  const Shape& s = w.shape();
  const Tensor wide(w.pool(), {s[0], s[1], s[2], channels}, w.dtype());
  visit_float(w.dtype(), [&](auto zero) {
    using T = decltype(zero);
    launch(w.device(), CopyColumns<T>{s[0] * s[1] * s[2], static_cast<int>(s[3]), static_cast<int>(channels),
                                      w.data<T>(), wide.data<T>(), false});
  });
  return wide;
}

struct ConvNode : Node {
  Tensor x, w;
  ConvShape shape;
  int channels;  // of the parameter: x and w may have more
  ConvNode(const Tensor& input, const Tensor& weight, const ConvShape& s, int of_parameter)
      : x(input), w(weight), shape(s), channels(of_parameter) {}
  const char* name() const override { return "conv2d"; }
  std::string detail() const override {
    return fmt::format("{0}x{0}/{1} {2}->{3}", shape.kernel, shape.stride, channels, shape.out_channels);
  }

  void backward(const Tensor& dy, Grads& grads) override {
    visit_float(dy.dtype(), [&](auto zero) {
      using T = decltype(zero);
      if (grads.wants(1)) {
        using A = Acc<T>;
        const auto dw = grads.slot<A>(1);
        if (channels == shape.channels) {
          launch(dy.device(),
                 ConvBackwardWeight<T>{shape, x.data<T>(), dy.data<T>(), dw.data, dw.accumulate});
        } else {
          const Tensor wide(x.pool(), w.shape(), dtype_of<A>);
          launch(dy.device(), ConvBackwardWeight<T>{shape, x.data<T>(), dy.data<T>(), wide.data<A>(), false});
          launch(dy.device(), CopyColumns<A>{wide.count() / shape.channels, shape.channels, channels,
                                             wide.data<A>(), dw.data, dw.accumulate});
        }
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
  ENSURE(in.rank() == 4 && kernel.rank() == 4 && in[3] >= kernel[3] && kernel[1] == kernel[2],
         "conv2d: x is {} [N,H,W,C], the weight of {} is {} [O,k,k,C]", in, w.name, kernel);
  ENSURE(in[1] + 2 * padding >= kernel[1] && in[2] + 2 * padding >= kernel[1],
         "conv2d: images of {}x{} are smaller than the kernel of {}", in[1], in[2], kernel[1]);
  auto i = [](int64_t size) { return static_cast<int>(size); };
  const ConvShape s{i(in[0]), i(in[1]), i(in[2]), i(in[3]), i(kernel[0]), i(kernel[1]), stride, padding};
  Tape& tape = *x.tape;
  const Tensor y(x.value.pool(), {in[0], s.out_height(), s.out_width(), kernel[0]}, x.dtype());
  const Var weight = tape.leaf(w);
  const Tensor weights = in[3] == kernel[3] ? weight.value : widened(weight.value, in[3]);
  visit_float(y.dtype(), [&](auto zero) {
    using T = decltype(zero);
    launch(y.device(), ConvForward<T>{s, x.value.data<T>(), weights.data<T>(), y.data<T>()});
  });
  return tape.record(y, std::make_unique<ConvNode>(x.value, weights, s, i(kernel[3])), {x, weight});
}

}  // namespace stopgrad
