#include "kernels/cuda_conv_plan.h"

#include <fmt/format.h>

#include <algorithm>

#include "kernels/cuda_plan_search.h"

namespace stopgrad::cuda {

namespace {

constexpr float kZero = 0, kOne = 1;
constexpr const char* kNames[] = {"forward", "backward input", "backward weight"};
constexpr const char* kCalls[] = {"cudnnConvolutionForward", "cudnnConvolutionBackwardData",
                                  "cudnnConvolutionBackwardFilter"};

bool is_unsupported(cudnnStatus_t status) {
  return status >= CUDNN_STATUS_NOT_SUPPORTED && status < CUDNN_STATUS_NOT_SUPPORTED + 1000;
}

}  // namespace

std::string ConvPlan::Algorithm::text() const { return fmt::format("{} {} {}", algorithm, math, workspace); }

ConvPlan::ConvPlan(Libraries& libraries, ConvDirection direction, const ConvShape& shape, DType dtype,
                   FloatMath math)
    : libraries_(libraries), direction_(direction), exact_(dtype == DType::f32 && math == FloatMath::fp32) {
  const ConvShape& s = shape;
  what_ = fmt::format("a {}x{} convolution of {} images {}x{}x{} to {} channels, stride {}, {}", s.kernel,
                      s.kernel, s.images, s.height, s.width, s.channels, s.out_channels, s.stride,
                      name_of(dtype));
  key_ = fmt::format("conv {}, {}{}, {} images {}x{}x{} to {}, kernel {}, stride {}, padding {}",
                     kNames[static_cast<int>(direction)], name_of(dtype),
                     dtype == DType::f32 && !exact_ ? " in tf32" : "", s.images, s.height, s.width,
                     s.channels, s.out_channels, s.kernel, s.stride, s.padding);
  const size_t element = size_of(dtype);
  x_bytes_ = element * size_t(s.images) * size_t(s.height) * size_t(s.width) * size_t(s.channels);
  y_bytes_ =
      element * size_t(s.images) * size_t(s.out_height()) * size_t(s.out_width()) * size_t(s.out_channels);
  w_bytes_ = element * size_t(s.out_channels) * size_t(s.kernel) * size_t(s.kernel) * size_t(s.channels);
  describe(shape, dtype);
}

void ConvPlan::describe(const ConvShape& s, DType dtype) {
  const auto& f = libraries_.dnn();
  const cudnnDataType_t type = dtype == DType::bf16 ? CUDNN_DATA_BFLOAT16 : CUDNN_DATA_FLOAT;
  check(f.cudnnCreateTensorDescriptor(&x_), "cudnnCreateTensorDescriptor");
  check(f.cudnnCreateTensorDescriptor(&y_), "cudnnCreateTensorDescriptor");
  check(f.cudnnCreateFilterDescriptor(&w_), "cudnnCreateFilterDescriptor");
  check(f.cudnnCreateConvolutionDescriptor(&conv_), "cudnnCreateConvolutionDescriptor");
  check(f.cudnnSetTensor4dDescriptor(x_, CUDNN_TENSOR_NHWC, type, s.images, s.channels, s.height, s.width),
        "cudnnSetTensor4dDescriptor");
  check(f.cudnnSetTensor4dDescriptor(y_, CUDNN_TENSOR_NHWC, type, s.images, s.out_channels, s.out_height(),
                                     s.out_width()),
        "cudnnSetTensor4dDescriptor");
  check(f.cudnnSetFilter4dDescriptor(w_, type, CUDNN_TENSOR_NHWC, s.out_channels, s.channels, s.kernel,
                                     s.kernel),
        "cudnnSetFilter4dDescriptor");
  check(f.cudnnSetConvolution2dDescriptor(conv_, s.padding, s.padding, s.stride, s.stride, 1, 1,
                                          CUDNN_CROSS_CORRELATION, CUDNN_DATA_FLOAT),
        "cudnnSetConvolution2dDescriptor");
  check(f.cudnnSetConvolutionMathType(conv_, exact_ ? CUDNN_FMA_MATH : CUDNN_TENSOR_OP_MATH),
        "cudnnSetConvolutionMathType");
}

ConvPlan::~ConvPlan() {
  if (!libraries_.context.usable()) return;
  const auto& f = libraries_.dnn();
  if (x_) f.cudnnDestroyTensorDescriptor(x_);
  if (y_) f.cudnnDestroyTensorDescriptor(y_);
  if (w_) f.cudnnDestroyFilterDescriptor(w_);
  if (conv_) f.cudnnDestroyConvolutionDescriptor(conv_);
}

void ConvPlan::check(cudnnStatus_t status, const char* call) {
  libraries_.check(status, call, what_.c_str());
}

void ConvPlan::choose() {
  const std::vector<Algorithm> candidates = offered();
  std::vector<std::string> names;
  for (const Algorithm& each : candidates) names.push_back(each.text());
  set(candidates[libraries_.choose(key_, names, [&] { return search(candidates); })]);
}

std::vector<ConvPlan::Algorithm> ConvPlan::offered() {
  const auto& f = libraries_.dnn();
  const cudnnHandle_t handle = libraries_.cudnn();
  switch (direction_) {
    case ConvDirection::forward:
      return deterministic<cudnnConvolutionFwdAlgoPerf_t>(
          "cudnnGetConvolutionForwardAlgorithm_v7", [&](int n, int* got, auto* found) {
            return f.cudnnGetConvolutionForwardAlgorithm_v7(handle, x_, w_, conv_, y_, n, got, found);
          });
    case ConvDirection::backward_input:
      return deterministic<cudnnConvolutionBwdDataAlgoPerf_t>(
          "cudnnGetConvolutionBackwardDataAlgorithm_v7", [&](int n, int* got, auto* found) {
            return f.cudnnGetConvolutionBackwardDataAlgorithm_v7(handle, w_, y_, conv_, x_, n, got, found);
          });
    default:
      return deterministic<cudnnConvolutionBwdFilterAlgoPerf_t>(
          "cudnnGetConvolutionBackwardFilterAlgorithm_v7", [&](int n, int* got, auto* found) {
            return f.cudnnGetConvolutionBackwardFilterAlgorithm_v7(handle, x_, y_, conv_, w_, n, got, found);
          });
  }
}

/// In cuDNN's order, at least one.
template <class Performance, class Ask>
std::vector<ConvPlan::Algorithm> ConvPlan::deterministic(const char* call, Ask ask) {
  std::vector<Performance> found(16);  // algorithms times kinds of arithmetic
  int count = 0;
  check(ask(static_cast<int>(found.size()), &count, found.data()), call);
  found.resize(static_cast<size_t>(count));
  std::vector<Algorithm> out;
  for (const Performance& p : found)
    if (p.status == CUDNN_STATUS_SUCCESS && p.determinism == CUDNN_DETERMINISTIC)
      out.push_back({static_cast<int>(p.algo), exact_ ? CUDNN_FMA_MATH : p.mathType, p.memory});
  if (out.empty()) check(CUDNN_STATUS_NOT_SUPPORTED, call);
  return out;
}

void ConvPlan::set(const Algorithm& algorithm) {
  check(libraries_.dnn().cudnnSetConvolutionMathType(conv_, static_cast<cudnnMathType_t>(algorithm.math)),
        "cudnnSetConvolutionMathType");
  chosen_ = algorithm;
}

int ConvPlan::search(const std::vector<Algorithm>& candidates) {
  const bool forward = direction_ == ConvDirection::forward,
             weight = direction_ == ConvDirection::backward_weight;
  SearchMemory memory(libraries_.context);
  const void* const a = memory.add(forward || weight ? x_bytes_ : y_bytes_);
  const void* const b = memory.add(weight ? y_bytes_ : w_bytes_);
  void* const out = memory.add(forward ? y_bytes_ : weight ? w_bytes_ : x_bytes_);
  size_t most = 0;
  for (const Algorithm& each : candidates)
    if (each.workspace <= kConvWorkspace) most = std::max(most, each.workspace);
  void* const workspace = memory.add(most);
  const int best = fastest(libraries_.context, static_cast<int>(candidates.size()), [&](int i) {
    if (candidates[size_t(i)].workspace > most) return false;
    set(candidates[size_t(i)]);
    const cudnnStatus_t status = launch(a, b, workspace, false, out);
    if (!is_unsupported(status)) check(status, kCalls[static_cast<int>(direction_)]);
    return status == CUDNN_STATUS_SUCCESS;
  });
  return std::max(best, 0);
}

void ConvPlan::run(const void* a, const void* b, void* workspace, bool accumulate, void* out) {
  check(launch(a, b, workspace, accumulate, out), kCalls[static_cast<int>(direction_)]);
}

cudnnStatus_t ConvPlan::launch(const void* a, const void* b, void* workspace, bool accumulate, void* out) {
  const auto& f = libraries_.dnn();
  const cudnnHandle_t handle = libraries_.cudnn();
  const float* const beta = accumulate ? &kOne : &kZero;
  const size_t room = chosen_.workspace;
  switch (direction_) {
    case ConvDirection::forward:
      return f.cudnnConvolutionForward(handle, &kOne, x_, a, w_, b, conv_,
                                       static_cast<cudnnConvolutionFwdAlgo_t>(chosen_.algorithm), workspace,
                                       room, beta, y_, out);
    case ConvDirection::backward_input:
      return f.cudnnConvolutionBackwardData(handle, &kOne, w_, b, y_, a, conv_,
                                            static_cast<cudnnConvolutionBwdDataAlgo_t>(chosen_.algorithm),
                                            workspace, room, beta, x_, out);
    default:
      return f.cudnnConvolutionBackwardFilter(handle, &kOne, x_, a, y_, b, conv_,
                                              static_cast<cudnnConvolutionBwdFilterAlgo_t>(chosen_.algorithm),
                                              workspace, room, beta, w_, out);
  }
}

}  // namespace stopgrad::cuda
