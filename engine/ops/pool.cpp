#include "kernels/pool.h"

#include "engine/ops.h"

namespace stopgrad {

namespace {

struct MaxPoolNode : Node {
  Tensor winner;
  Shape in;
  int kernel, stride, padding;
  const char* name() const override { return "max_pool"; }
  std::string detail() const override { return fmt::format("{0}x{0}/{1}", kernel, stride); }
  void backward(const Tensor& dy, Grads& grads) override {
    visit_float(dy.dtype(), [&](auto zero) {
      using T = decltype(zero);
      const auto dx = grads.slot<T>(0);
      launch(dy.device(),
             MaxPoolBackward<T>{static_cast<int>(in[0]), static_cast<int>(in[1]), static_cast<int>(in[2]),
                                static_cast<int>(in[3]), kernel, stride, padding, dy.data<T>(),
                                winner.data<uint8_t>(), dx.data, dx.accumulate});
    });
  }
};

struct AveragePoolNode : Node {
  int images, pixels, channels;
  AveragePoolNode(int n, int p, int c) : images(n), pixels(p), channels(c) {}
  const char* name() const override { return "global_average_pool"; }
  void backward(const Tensor& dy, Grads& grads) override {
    visit_float(dy.dtype(), [&](auto zero) {
      using T = decltype(zero);
      const auto dx = grads.slot<T>(0);
      launch(dy.device(),
             AveragePoolBackward<T>{images, pixels, channels, dy.data<T>(), dx.data, dx.accumulate});
    });
  }
};

}  // namespace

Var max_pool(const Var& x, int kernel, int stride, int padding) {
  const Shape& in = x.shape();
  ENSURE(in.rank() == 4 && in[1] + 2 * padding >= kernel && in[2] + 2 * padding >= kernel,
         "max_pool: x is {} [N,H,W,C], the window {}", in, kernel);
  const int64_t height = (in[1] + 2 * padding - kernel) / stride + 1;
  const int64_t width = (in[2] + 2 * padding - kernel) / stride + 1;
  const Tensor y(x.value.pool(), {in[0], height, width, in[3]}, x.dtype());
  auto node = std::make_unique<MaxPoolNode>();
  node->winner = Tensor(x.value.pool(), y.shape(), DType::u8);
  node->in = in;
  node->kernel = kernel;
  node->stride = stride;
  node->padding = padding;
  visit_float(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    launch(y.device(),
           MaxPoolForward<T>{static_cast<int>(in[0]), static_cast<int>(in[1]), static_cast<int>(in[2]),
                             static_cast<int>(in[3]), kernel, stride, padding, x.value.data<T>(), y.data<T>(),
                             node->winner.data<uint8_t>()});
  });
  return x.tape->record(y, std::move(node), {x});
}

Var global_average_pool(const Var& x) {
  const Shape& in = x.shape();
  ENSURE(in.rank() == 4, "global_average_pool: x is {}, not [N,H,W,C]", in);
  const int images = static_cast<int>(in[0]), pixels = static_cast<int>(in[1] * in[2]);
  const int channels = static_cast<int>(in[3]);
  const Tensor y(x.value.pool(), {in[0], in[3]}, x.dtype());
  visit_float(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    launch(y.device(), AveragePoolForward<T>{images, pixels, channels, x.value.data<T>(), y.data<T>()});
  });
  return x.tape->record(y, std::make_unique<AveragePoolNode>(images, pixels, channels), {x});
}

}  // namespace stopgrad
