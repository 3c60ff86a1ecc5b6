#include "kernels/cuda_conv_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>

#include "kernels/check.h"
#include "kernels/cuda_plan_search.h"

namespace stopgrad::cuda {

namespace {
constexpr const char* kNames[] = {"forward", "backward input", "backward weight"};
}  // namespace

ConvPlan::ConvPlan(Libraries& libraries, ConvDirection direction, const ConvShape& shape, DType dtype,
                   FloatMath math, bool accumulate)
    : libraries_(libraries),
      direction_(direction),
      tensor_cores_(dtype != DType::f32 || math != FloatMath::fp32) {
  const ConvShape& s = shape;
  what_ = fmt::format("a {}x{} convolution of {} images {}x{}x{} to {} channels, stride {}, {}", s.kernel,
                      s.kernel, s.images, s.height, s.width, s.channels, s.out_channels, s.stride,
                      name_of(dtype));
  key_ = fmt::format("conv {}{}, {}{}, {} images {}x{}x{} to {}, kernel {}, stride {}, padding {}",
                     kNames[static_cast<int>(direction)], accumulate ? " added" : "", name_of(dtype),
                     dtype == DType::f32 && tensor_cores_ ? " in tf32" : "", s.images, s.height, s.width,
                     s.channels, s.out_channels, s.kernel, s.stride, s.padding);
  const size_t element = size_of(dtype);
  x_bytes_ = element * size_t(s.images) * size_t(s.height) * size_t(s.width) * size_t(s.channels);
  y_bytes_ =
      element * size_t(s.images) * size_t(s.out_height()) * size_t(s.out_width()) * size_t(s.out_channels);
  w_bytes_ = element * size_t(s.out_channels) * size_t(s.kernel) * size_t(s.kernel) * size_t(s.channels);
  graph_.emplace(libraries.dnn(), ConvTarget{libraries.cudnn()}, direction, s, dtype, accumulate, what_);
}

void ConvPlan::choose() {
  const auto find = [&](const std::string& text) {
    if (auto found = graph_->find(text, tensor_cores_)) chosen_.emplace(std::move(*found));
    return chosen_.has_value();
  };
  if (libraries_.take_kept(key_, find)) return;
  std::vector<ConvEngine> engines = graph_->offered(tensor_cores_, libraries_.searches() ? SIZE_MAX : 1);
  std::vector<std::string> names;
  for (const ConvEngine& each : engines) names.push_back(each.text);
  chosen_.emplace(std::move(engines[libraries_.choose(key_, names, [&] { return search(engines); })]));
}

int ConvPlan::search(const std::vector<ConvEngine>& engines) {
  const bool forward = direction_ == ConvDirection::forward,
             weight = direction_ == ConvDirection::backward_weight;
  SearchMemory memory(libraries_.context);
  const void* const a = memory.add(forward || weight ? x_bytes_ : y_bytes_);
  const void* const b = memory.add(weight ? y_bytes_ : w_bytes_);
  void* const out = memory.add(forward ? y_bytes_ : weight ? w_bytes_ : x_bytes_);
  size_t most = 0;
  for (const ConvEngine& each : engines) most = std::max(most, each.workspace);
  void* const workspace = memory.add(most);
  cudnnStatus_t last = CUDNN_STATUS_SUCCESS;
  const size_t operands = x_bytes_ + w_bytes_ + y_bytes_;
  const int best = fastest(libraries_.context, static_cast<int>(engines.size()), operands, [&](int i) {
    const cudnnStatus_t status = launch(engines[size_t(i)], a, b, workspace, out);
    if (status != CUDNN_STATUS_SUCCESS) last = status;
    return status == CUDNN_STATUS_SUCCESS;
  });
  if (best < 0) libraries_.check(last, "cudnnBackendExecute", what_.c_str());
  return best;
}

void ConvPlan::run(const void* a, const void* b, void* workspace, void* out) {
  for (const void* pointer : {a, b, static_cast<const void*>(out)})
    ENSURE(reinterpret_cast<uintptr_t>(pointer) % ConvGraph::kAlignment == 0,
           "cuda: {}: its tensors must begin at multiples of {} bytes", what_, ConvGraph::kAlignment);
  libraries_.check(launch(*chosen_, a, b, workspace, out), "cudnnBackendExecute", what_.c_str());
}

cudnnStatus_t ConvPlan::launch(const ConvEngine& engine, const void* a, const void* b, void* workspace,
                               void* out) {
  const cudnnHandle_t handle = libraries_.cudnn();
  switch (direction_) {
    case ConvDirection::forward:
      return graph_->launch(engine, handle, a, b, out, workspace);
    case ConvDirection::backward_input:
      return graph_->launch(engine, handle, out, b, a, workspace);
    default:
      return graph_->launch(engine, handle, a, out, b, workspace);
  }
}

}  // namespace stopgrad::cuda
