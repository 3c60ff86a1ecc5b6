#include "kernels/cuda_conv_graph.h"

#include <fmt/format.h>

#include <algorithm>

#include "kernels/check.h"

namespace stopgrad::cuda {

namespace {

constexpr size_t kPerRank = 8;  // engines that are looked at further
constexpr int64_t kKnobs = 16;  // of one engine; 9.19 has seven at most
constexpr int64_t kX = 1, kW = 2, kY = 3;

/// How the three operations name the same things.
struct Operation {
  cudnnBackendDescriptorType_t type;
  cudnnBackendAttributeName_t x, w, y, convolution, alpha, beta;
};
constexpr Operation kOperations[] = {
    {CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X,
     CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y,
     CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA,
     CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA},
    {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR,
     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W,
     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC,
     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA},
    {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR,
     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW,
     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC,
     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA},
};

/// Channels last in memory; cuDNN names them second.
Descriptor tensor(const Cudnn& dnn, int64_t id, DType dtype, int64_t n, int64_t h, int64_t w, int64_t c,
                  const std::string& what) {
  return Descriptor(dnn, CUDNN_BACKEND_TENSOR_DESCRIPTOR)
      .set(CUDNN_ATTR_TENSOR_UNIQUE_ID, id)
      .set(CUDNN_ATTR_TENSOR_DATA_TYPE, dtype == DType::bf16 ? CUDNN_DATA_BFLOAT16 : CUDNN_DATA_FLOAT)
      .set(CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, ConvGraph::kAlignment)
      .set(CUDNN_ATTR_TENSOR_DIMENSIONS, std::vector<int64_t>{n, c, h, w})
      .set(CUDNN_ATTR_TENSOR_STRIDES, std::vector<int64_t>{h * w * c, 1, w * c, c})
      .finalized(what);
}

Descriptor convolution(const Cudnn& dnn, const ConvShape& s, const std::string& what) {
  const auto both = [](int64_t value) { return std::vector<int64_t>{value, value}; };
  return Descriptor(dnn, CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR)
      .set(CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_DATA_FLOAT)
      .set(CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_CROSS_CORRELATION)
      .set(CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, int64_t{2})
      .set(CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, both(s.padding))
      .set(CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, both(s.padding))
      .set(CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, both(s.stride))
      .set(CUDNN_ATTR_CONVOLUTION_DILATIONS, both(1))
      .finalized(what);
}

Descriptor operation(const Cudnn& dnn, const Operation& o, const Descriptor& x, const Descriptor& w,
                     const Descriptor& y, const Descriptor& conv, bool accumulate, const std::string& what) {
  return Descriptor(dnn, o.type)
      .set(o.x, x)
      .set(o.w, w)
      .set(o.y, y)
      .set(o.convolution, conv)
      .set(o.alpha, 1.0f)
      .set(o.beta, accumulate ? 1.0f : 0.0f)
      .finalized(what);
}

Descriptor graph(const Cudnn& dnn, const ConvTarget& target, const Descriptor& operation,
                 const std::string& what) {
  Descriptor out(dnn, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
  if (target.handle) out.set(CUDNN_ATTR_OPERATIONGRAPH_HANDLE, target.handle);
  return out.set(CUDNN_ATTR_OPERATIONGRAPH_OPS, operation).finalized(what);
}

/// Whether cuDNN says of an engine that its bits are the same on every run and its products and sums are
/// those of the types; nor one that is compiled at run time, which takes seconds per shape.
bool is_fit(const Descriptor& engine, bool tensor_cores, bool must) {
  const auto notes = engine.values<cudnnBackendNumericalNote_t>(CUDNN_ATTR_ENGINE_NUMERICAL_NOTE,
                                                                CUDNN_NUMERICAL_NOTE_TYPE_COUNT);
  const auto behaviour = engine.values<cudnnBackendBehaviorNote_t>(CUDNN_ATTR_ENGINE_BEHAVIOR_NOTE,
                                                                   CUDNN_BEHAVIOR_NOTE_TYPE_COUNT);
  const auto has = [](const auto& all, auto note) {
    return std::find(all.begin(), all.end(), note) != all.end();
  };
  if (has(behaviour, CUDNN_BEHAVIOR_NOTE_RUNTIME_COMPILATION)) return false;
  for (const auto note : {CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC, CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS,
                          CUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION})
    if (has(notes, note)) return false;
  const bool uses_them = has(notes, CUDNN_NUMERICAL_NOTE_TENSOR_CORE);
  return tensor_cores ? uses_them || !must : !uses_them;
}

std::string text_of(const Descriptor& engine, const Descriptor& config) {
  std::string out = fmt::format("{}", engine.value<int64_t>(CUDNN_ATTR_ENGINE_GLOBAL_INDEX));
  for (const Descriptor& knob :
       config.descriptors(CUDNN_ATTR_ENGINECFG_KNOB_CHOICES, CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR, kKnobs))
    out += fmt::format(" {}={}",
                       static_cast<int>(knob.value<cudnnBackendKnobType_t>(CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE)),
                       knob.value<int64_t>(CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE));
  return out;
}

}  // namespace

ConvGraph::ConvGraph(const Cudnn& dnn, ConvTarget target, ConvDirection direction, const ConvShape& s,
                     DType dtype, bool accumulate, const std::string& what)
    : dnn_(dnn),
      target_(target),
      what_(what),
      x_(tensor(dnn, kX, dtype, s.images, s.height, s.width, s.channels, what)),
      w_(tensor(dnn, kW, dtype, s.out_channels, s.kernel, s.kernel, s.channels, what)),
      y_(tensor(dnn, kY, dtype, s.images, s.out_height(), s.out_width(), s.out_channels, what)),
      convolution_(convolution(dnn, s, what)),
      operation_(operation(dnn, kOperations[static_cast<int>(direction)], x_, w_, y_, convolution_,
                           accumulate, what)),
      graph_(graph(dnn, target, operation_, what)) {}

std::vector<ConvEngine> ConvGraph::offered(bool tensor_cores, size_t most) const {
  std::vector<ConvEngine> out;
  Refusals refusals;
  const auto offer = [&](cudnnBackendHeurMode_t rank) {
    const size_t enough = std::min(most, out.size() + kPerRank);
    for_each_fit(rank, tensor_cores, [&](const std::string& text, Descriptor& config) {
      if (out.size() == enough) return false;
      const auto had = [&](const ConvEngine& each) { return each.text == text; };
      if (std::none_of(out.begin(), out.end(), had))
        if (auto engine = finalized(text, config, refusals)) out.push_back(std::move(*engine));
      return true;
    });
  };
  for (const auto rank : {CUDNN_HEUR_MODE_A, CUDNN_HEUR_MODE_B})
    if (out.size() < most) offer(rank);
  if (out.empty()) offer(CUDNN_HEUR_MODE_FALLBACK);
  if (out.empty() && refusals.count > 0)
    fail(Exit::device,
         "cudnnBackendFinalize: cuDNN {} has no engine for {}: {} failed, the first with \"{}\"",
         dnn_.cudnnGetVersion(), what_, refusals.count, dnn_.cudnnGetErrorString(refusals.first));
  if (out.empty()) dnn_.check(CUDNN_STATUS_NOT_SUPPORTED, "cudnnBackendFinalize", what_);
  return out;
}

std::optional<ConvEngine> ConvGraph::find(const std::string& text, bool tensor_cores) const {
  std::optional<ConvEngine> out;
  Refusals ignored;
  for (const auto rank : {CUDNN_HEUR_MODE_A, CUDNN_HEUR_MODE_B, CUDNN_HEUR_MODE_FALLBACK}) {
    bool found = false;
    for_each_fit(rank, tensor_cores, [&](const std::string& each, Descriptor& config) {
      found = each == text;
      if (found)
        if (auto engine = finalized(text, config, ignored)) out.emplace(std::move(*engine));
      return !found;
    });
    if (found) break;
  }
  return out;
}

void ConvGraph::for_each_fit(cudnnBackendHeurMode_t rank, bool tensor_cores, const Visit& visit) const {
  Descriptor heuristics(dnn_, CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
  heuristics.set(CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, graph_).set(CUDNN_ATTR_ENGINEHEUR_MODE, rank);
  if (target_.properties) heuristics.set(CUDNN_ATTR_ENGINEHEUR_DEVICEPROP, *target_.properties);
  if (!heuristics.finalize()) return;
  for (Descriptor& config :
       heuristics.descriptors(CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR)) {
    const Descriptor engine =
        std::move(config.descriptors(CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_BACKEND_ENGINE_DESCRIPTOR, 1).at(0));
    if (!is_fit(engine, tensor_cores, rank != CUDNN_HEUR_MODE_FALLBACK)) continue;
    if (!visit(text_of(engine, config), config)) return;
  }
}

/// Among some thousand plans one may fail for a reason of its own: that is no reason to end a run.
std::optional<ConvEngine> ConvGraph::finalized(const std::string& text, Descriptor& config,
                                               Refusals& refusals) const {
  Descriptor plan(dnn_, CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR);
  plan.set(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, config);
  if (target_.handle) plan.set(CUDNN_ATTR_EXECUTION_PLAN_HANDLE, target_.handle);
  if (target_.properties) plan.set(CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP, *target_.properties);
  const cudnnStatus_t status = plan.try_to_finalize();
  if (dnn_.is_refusal(status, "cudnnBackendFinalize")) {
    if (!is_unsupported(status) && refusals.count++ == 0) refusals.first = status;
    return {};
  }
  const auto workspace = static_cast<size_t>(plan.value<int64_t>(CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE));
  if (workspace > kConvWorkspace) return {};
  return ConvEngine{text, workspace, std::move(config), std::move(plan)};
}

cudnnStatus_t ConvGraph::launch(const ConvEngine& engine, cudnnHandle_t handle, const void* x, const void* w,
                                const void* y, void* workspace) const {
  const auto at = [](const void* pointer) { return const_cast<void*>(pointer); };
  const Descriptor pointers =
      Descriptor(dnn_, CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR)
          .set(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, std::vector<int64_t>{kX, kW, kY})
          .set(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, std::vector<void*>{at(x), at(w), at(y)})
          .set(CUDNN_ATTR_VARIANT_PACK_WORKSPACE, workspace)
          .finalized(what_);
  const cudnnStatus_t status = dnn_.cudnnBackendExecute(handle, engine.plan.get(), pointers.get());
  dnn_.is_refusal(status, "cudnnBackendExecute");  // before anything else is called: the device may be gone
  return status;
}

}  // namespace stopgrad::cuda
