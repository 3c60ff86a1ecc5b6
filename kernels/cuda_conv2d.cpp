// Convolution on CUDA: cuDNN's, NHWC, sums in float, deterministic engines only.
#include "kernels/conv2d.h"

#include "kernels/cuda_conv_plan.h"
#include "kernels/cuda_epilogues.h"

namespace stopgrad::cuda {

namespace {

ConvPlan& plan(Context& context, ConvDirection direction, const ConvShape& s, DType dtype, bool accumulate) {
  Libraries& libraries = context.libraries();
  auto& kept = libraries.conv_plans[{direction, dtype, context.float_math, accumulate, s.images, s.height,
                                     s.width, s.channels, s.out_channels, s.kernel, s.stride, s.padding}];
  if (!kept) {
    context.refuse_during_capture("a plan of a convolution would be made");
    auto made = std::make_shared<ConvPlan>(libraries, direction, s, dtype, context.float_math, accumulate);
    made->choose();
    kept = std::move(made);
  }
  return *kept;
}

size_t round_up(size_t bytes) { return (bytes + 255) / 256 * 256; }

}  // namespace

template <class T>
void run(const ConvForward<T>& call, Context& context) {
  ConvPlan& p = plan(context, ConvDirection::forward, call.shape, dtype_of<T>, false);
  p.run(call.x, call.w, context.scratch(p.workspace()), call.y);
}

template <class T>
void run(const ConvBackwardInput<T>& call, Context& context) {
  ConvPlan& p = plan(context, ConvDirection::backward_input, call.shape, dtype_of<T>, call.accumulate);
  p.run(call.dy, call.w, context.scratch(p.workspace()), call.dx);
}

/// cuDNN writes weight gradients in the type of x: in bf16 they go through scratch memory.
template <class T>
void run(const ConvBackwardWeight<T>& call, Context& context) {
  constexpr bool direct = std::is_same_v<T, Acc<T>>;
  ConvPlan& p =
      plan(context, ConvDirection::backward_weight, call.shape, dtype_of<T>, direct && call.accumulate);
  const ConvShape& s = call.shape;
  const int64_t count = int64_t{s.out_channels} * s.kernel * s.kernel * s.channels;
  const size_t first = direct ? 0 : round_up(static_cast<size_t>(count) * sizeof(T));
  auto* const scratch = static_cast<char*>(context.scratch(first + p.workspace()));
  void* const dw = direct ? static_cast<void*>(call.dw) : scratch;
  p.run(call.x, call.dy, scratch + first, dw);
  if constexpr (!direct) widen(static_cast<const T*>(dw), call.dw, count, call.accumulate, context);
}

template void run(const ConvForward<float>&, Context&);
template void run(const ConvForward<bf16>&, Context&);
template void run(const ConvBackwardInput<float>&, Context&);
template void run(const ConvBackwardInput<bf16>&, Context&);
template void run(const ConvBackwardWeight<float>&, Context&);
template void run(const ConvBackwardWeight<bf16>&, Context&);

}  // namespace stopgrad::cuda
