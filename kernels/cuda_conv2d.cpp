// Convolution on CUDA: cuDNN's, NHWC, sums in float, deterministic algorithms only.
#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "kernels/check.h"
#include "kernels/conv2d.h"
#include "kernels/cuda_epilogues.h"
#include "kernels/cuda_libraries.h"

namespace stopgrad::cuda {

/// Descriptors in the order of cuDNN's arguments, and the algorithm its heuristics put first among those that
/// always give the same bits.
class ConvPlan {
 public:
  ConvPlan(Libraries& libraries, ConvDirection direction, const ConvShape& shape, DType dtype, FloatMath math)
      : libraries_(libraries) {
    const auto& f = libraries.dnn();
    const cudnnDataType_t type = dtype == DType::bf16 ? CUDNN_DATA_BFLOAT16 : CUDNN_DATA_FLOAT;
    const ConvShape& s = shape;
    check(f.cudnnCreateTensorDescriptor(&x), "cudnnCreateTensorDescriptor");
    check(f.cudnnCreateTensorDescriptor(&y), "cudnnCreateTensorDescriptor");
    check(f.cudnnCreateFilterDescriptor(&w), "cudnnCreateFilterDescriptor");
    check(f.cudnnCreateConvolutionDescriptor(&conv), "cudnnCreateConvolutionDescriptor");
    check(f.cudnnSetTensor4dDescriptor(x, CUDNN_TENSOR_NHWC, type, s.images, s.channels, s.height, s.width),
          "cudnnSetTensor4dDescriptor");
    check(f.cudnnSetTensor4dDescriptor(y, CUDNN_TENSOR_NHWC, type, s.images, s.out_channels, s.out_height(),
                                       s.out_width()),
          "cudnnSetTensor4dDescriptor");
    check(f.cudnnSetFilter4dDescriptor(w, type, CUDNN_TENSOR_NHWC, s.out_channels, s.channels, s.kernel,
                                       s.kernel),
          "cudnnSetFilter4dDescriptor");
    check(f.cudnnSetConvolution2dDescriptor(conv, s.padding, s.padding, s.stride, s.stride, 1, 1,
                                            CUDNN_CROSS_CORRELATION, CUDNN_DATA_FLOAT),
          "cudnnSetConvolution2dDescriptor");
    const bool exact = dtype == DType::f32 && math == FloatMath::fp32;
    check(f.cudnnSetConvolutionMathType(conv, exact ? CUDNN_FMA_MATH : CUDNN_TENSOR_OP_MATH),
          "cudnnSetConvolutionMathType");
    what_ = fmt::format("a {}x{} convolution of {} images {}x{}x{} to {} channels, stride {}, {}", s.kernel,
                        s.kernel, s.images, s.height, s.width, s.channels, s.out_channels, s.stride,
                        name_of(dtype));
    choose(direction);
  }
  ~ConvPlan() {
    if (!libraries_.context.usable()) return;
    const auto& f = libraries_.dnn();
    if (x) f.cudnnDestroyTensorDescriptor(x);
    if (y) f.cudnnDestroyTensorDescriptor(y);
    if (w) f.cudnnDestroyFilterDescriptor(w);
    if (conv) f.cudnnDestroyConvolutionDescriptor(conv);
  }
  ConvPlan(const ConvPlan&) = delete;
  ConvPlan& operator=(const ConvPlan&) = delete;

  void check(cudnnStatus_t status, const char* call) { libraries_.check(status, call, what_.c_str()); }

  cudnnTensorDescriptor_t x = nullptr, y = nullptr;
  cudnnFilterDescriptor_t w = nullptr;
  cudnnConvolutionDescriptor_t conv = nullptr;
  int algorithm = 0;
  size_t workspace = 0;

 private:
  void choose(ConvDirection direction) {
    const auto& f = libraries_.dnn();
    const cudnnHandle_t handle = libraries_.cudnn();
    if (direction == ConvDirection::forward)
      take<cudnnConvolutionFwdAlgoPerf_t>(
          "cudnnGetConvolutionForwardAlgorithm_v7", [&](int n, int* got, auto* found) {
            return f.cudnnGetConvolutionForwardAlgorithm_v7(handle, x, w, conv, y, n, got, found);
          });
    else if (direction == ConvDirection::backward_input)
      take<cudnnConvolutionBwdDataAlgoPerf_t>(
          "cudnnGetConvolutionBackwardDataAlgorithm_v7", [&](int n, int* got, auto* found) {
            return f.cudnnGetConvolutionBackwardDataAlgorithm_v7(handle, w, y, conv, x, n, got, found);
          });
    else
      take<cudnnConvolutionBwdFilterAlgoPerf_t>(
          "cudnnGetConvolutionBackwardFilterAlgorithm_v7", [&](int n, int* got, auto* found) {
            return f.cudnnGetConvolutionBackwardFilterAlgorithm_v7(handle, x, y, conv, w, n, got, found);
          });
  }

  template <class Performance, class Ask>
  void take(const char* call, Ask ask) {
    std::vector<Performance> found(8);
    int count = 0;
    check(ask(static_cast<int>(found.size()), &count, found.data()), call);
    found.resize(static_cast<size_t>(count));
    const auto best = std::find_if(found.begin(), found.end(), [](const Performance& p) {
      return p.status == CUDNN_STATUS_SUCCESS && p.determinism == CUDNN_DETERMINISTIC;
    });
    if (best == found.end()) check(CUDNN_STATUS_NOT_SUPPORTED, call);
    algorithm = static_cast<int>(best->algo);
    workspace = best->memory;
  }

  Libraries& libraries_;
  std::string what_;
};

namespace {

ConvPlan& plan(Context& context, ConvDirection direction, const ConvShape& s, DType dtype) {
  Libraries& libraries = context.libraries();
  auto& kept = libraries.conv_plans[{direction, dtype, context.float_math, s.images, s.height, s.width,
                                     s.channels, s.out_channels, s.kernel, s.stride, s.padding}];
  if (!kept) {
    context.refuse_during_capture("a plan of a convolution would be made");
    kept = std::make_shared<ConvPlan>(libraries, direction, s, dtype, context.float_math);
  }
  return *kept;
}

constexpr float kZero = 0, kOne = 1;

size_t round_up(size_t bytes) { return (bytes + 255) / 256 * 256; }

}  // namespace

template <class T>
void run(const ConvForward<T>& call, Context& context) {
  ConvPlan& p = plan(context, ConvDirection::forward, call.shape, dtype_of<T>);
  Libraries& libraries = context.libraries();
  void* const workspace = context.scratch(p.workspace);
  p.check(libraries.dnn().cudnnConvolutionForward(libraries.cudnn(), &kOne, p.x, call.x, p.w, call.w, p.conv,
                                                  static_cast<cudnnConvolutionFwdAlgo_t>(p.algorithm),
                                                  workspace, p.workspace, &kZero, p.y, call.y),
          "cudnnConvolutionForward");
}

template <class T>
void run(const ConvBackwardInput<T>& call, Context& context) {
  ConvPlan& p = plan(context, ConvDirection::backward_input, call.shape, dtype_of<T>);
  Libraries& libraries = context.libraries();
  void* const workspace = context.scratch(p.workspace);
  p.check(libraries.dnn().cudnnConvolutionBackwardData(
              libraries.cudnn(), &kOne, p.w, call.w, p.y, call.dy, p.conv,
              static_cast<cudnnConvolutionBwdDataAlgo_t>(p.algorithm), workspace, p.workspace,
              call.accumulate ? &kOne : &kZero, p.x, call.dx),
          "cudnnConvolutionBackwardData");
}

/// cuDNN writes weight gradients in the type of x: in bf16 they go through scratch memory.
template <class T>
void run(const ConvBackwardWeight<T>& call, Context& context) {
  ConvPlan& p = plan(context, ConvDirection::backward_weight, call.shape, dtype_of<T>);
  Libraries& libraries = context.libraries();
  const ConvShape& s = call.shape;
  const int64_t count = int64_t{s.out_channels} * s.kernel * s.kernel * s.channels;
  constexpr bool direct = std::is_same_v<T, Acc<T>>;
  const size_t first = direct ? 0 : round_up(static_cast<size_t>(count) * sizeof(T));
  auto* const scratch = static_cast<char*>(context.scratch(first + p.workspace));
  void* const dw = direct ? static_cast<void*>(call.dw) : scratch;
  p.check(libraries.dnn().cudnnConvolutionBackwardFilter(
              libraries.cudnn(), &kOne, p.x, call.x, p.y, call.dy, p.conv,
              static_cast<cudnnConvolutionBwdFilterAlgo_t>(p.algorithm), scratch + first, p.workspace,
              direct && call.accumulate ? &kOne : &kZero, p.w, dw),
          "cudnnConvolutionBackwardFilter");
  if constexpr (!direct) widen(static_cast<const T*>(dw), call.dw, count, call.accumulate, context);
}

template void run(const ConvForward<float>&, Context&);
template void run(const ConvForward<bf16>&, Context&);
template void run(const ConvBackwardInput<float>&, Context&);
template void run(const ConvBackwardInput<bf16>&, Context&);
template void run(const ConvBackwardWeight<float>&, Context&);
template void run(const ConvBackwardWeight<bf16>&, Context&);

}  // namespace stopgrad::cuda
