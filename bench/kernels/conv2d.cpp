// Convolutions at a sample of positions against the definition; on the CPU, oneDNN's beside them.
#include "kernels/conv2d.h"

#include "bench/kernels/registry.h"
#include "kernels/onednn.h"
#include "kernels/winograd.h"
#include "tests/reference/conv2d.h"
#include "tests/tolerances.h"

namespace stopgrad::bench {
namespace {

constexpr int64_t kSample = 120;

template <class T>
struct Layer {
  ConvShape s;

  std::string shape() const {
    return fmt::format("n{}_h{}_w{}_c{}_k{}_r{}_s{}_p{}", s.images, s.height, s.width, s.channels,
                       s.out_channels, s.kernel, s.stride, s.padding);
  }
  int64_t inputs() const { return int64_t(inputs_of(s)); }
  int64_t weights() const { return int64_t(weights_of(s)); }
  int64_t outputs() const { return int64_t(outputs_of(s)); }
  std::vector<double> x(const T* at) const { return test::doubles(std::vector(at, at + inputs())); }
  std::vector<double> w(const T* at) const { return test::doubles(std::vector(at, at + weights())); }
  std::vector<double> dy(const T* at) const { return test::doubles(std::vector(at, at + outputs())); }
  /// A library may take Winograd's method wherever it is possible.
  test::ConvTolerances<T> tolerances() const {
    return {s, std::is_same_v<T, float> && s.kernel == 3 && s.stride == 1};
  }
};

template <class T>
struct Forward : Layer<T> {
  std::string op() const { return "conv2d_fwd"; }
  ConvForward<T> make(Arena& a) const {
    return {this->s, a.random<T>(this->inputs(), 1), a.random<T>(this->weights(), 2),
            a.output<T>(this->outputs())};
  }
  void check(const ConvForward<T>& before, const ConvForward<T>& after, Comparison& c) const {
    const auto x = this->x(before.x), w = this->w(before.w);
    const int64_t count = this->outputs();
    c.close(
        "y", after.y, count, [&](int64_t i) { return test::reference::conv_forward(this->s, x, w, i); },
        this->tolerances().y, sample_step(count, kSample));
    c.written("y", after.y, count);
  }
};

template <class T>
struct BackwardInput : Layer<T> {
  bool accumulate = false;  // onto zeros, as batch norm's

  std::string op() const { return accumulate ? "conv2d_bwd_input_acc" : "conv2d_bwd_input"; }
  ConvBackwardInput<T> make(Arena& a) const {
    return {this->s, a.random<T>(this->outputs(), 3), a.random<T>(this->weights(), 2),
            accumulate ? a.random<T>(this->inputs(), 4, 0, 0) : a.output<T>(this->inputs()), accumulate};
  }
  void check(const ConvBackwardInput<T>& before, const ConvBackwardInput<T>& after, Comparison& c) const {
    const auto dy = this->dy(before.dy), w = this->w(before.w);
    const int64_t count = this->inputs();
    c.close(
        "dx", after.dx, count,
        [&](int64_t i) { return test::reference::conv_backward_input(this->s, dy, w, i); },
        this->tolerances().dx, sample_step(count, kSample));
    c.written("dx", after.dx, count);
  }
};

template <class T>
struct BackwardWeight : Layer<T> {
  std::string op() const { return "conv2d_bwd_weight"; }
  ConvBackwardWeight<T> make(Arena& a) const {
    return {this->s, a.random<T>(this->inputs(), 1), a.random<T>(this->outputs(), 3),
            a.output<Acc<T>>(this->weights()), false};
  }
  void check(const ConvBackwardWeight<T>& before, const ConvBackwardWeight<T>& after, Comparison& c) const {
    const auto x = this->x(before.x), dy = this->dy(before.dy);
    const int64_t count = this->weights();
    // In bf16 libraries may round the result once more.
    const double rounded = std::is_same_v<T, bf16> ? 0.5 * test::epsilon_of<bf16> : 0;
    const auto tolerance = this->tolerances().dw;
    for (int64_t i = 0; i < count; i += sample_step(count, kSample / 2)) {
      const double want = test::reference::conv_backward_weight(this->s, x, dy, i);
      c.within("dw", i, after.dw[i], want, tolerance.at(want) + rounded * std::abs(want));
    }
    c.written("dw", after.dw, count);
  }
};

/// oneDNN alone, where kernels/ may have a method of its own; through the wrapper of kernels/, which gives
/// each thread a part and lays the weights out anew in every call.
template <class Call>
Baseline<Call> onednn(const Call& call, const Device& device) {
  if (!device.is_cpu() || !cpu::onednn::run(call, *device.cpu)) return {};
  return {"oneDNN, our threads", [device](const Call& c) { cpu::onednn::run(c, *device.cpu); }};
}

template <class T>
void add(Registry& registry) {
  for (const test::ConvCase& c : registry.convolutions) {
    const bool quick =
        c.name == std::string("resnet18 cifar layer1") || c.name == std::string("resnet18 cifar layer3");
    registry.add<T>(Forward<T>{{c.shape}}, quick, Limit::matmul, &onednn<ConvForward<T>>);
    registry.add<T>(BackwardInput<T>{{c.shape}}, quick, Limit::matmul, &onednn<ConvBackwardInput<T>>);
    registry.add<T>(BackwardInput<T>{{c.shape}, true}, false, Limit::matmul, &onednn<ConvBackwardInput<T>>);
    registry.add<T>(BackwardWeight<T>{{c.shape}}, quick, Limit::matmul, &onednn<ConvBackwardWeight<T>>);
  }
}

}  // namespace

void add_conv2d(Registry& registry) {
  add<float>(registry);
  add<bf16>(registry);
}

}  // namespace stopgrad::bench
