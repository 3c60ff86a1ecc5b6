// cuDNN's backend API over those loops: descriptors are bags of attributes, heuristics a fixed list of
// engines.
#include <algorithm>
#include <cstring>
#include <map>
#include <set>
#include <vector>

#include "tests/emulator/fake_cudnn.h"

namespace {

using namespace emulator;

struct Value {
  cudnnBackendAttributeType_t type;
  int64_t count;
  std::vector<char> bytes;
};
struct Node {
  cudnnBackendDescriptorType_t type;
  bool finalized = false;
  int engine = 0;         // of configurations and engines
  Node* graph = nullptr;  // of configurations: what they run
  std::map<int, Value> values;
};

std::set<Node*> alive;
int64_t plans = 0;

/// A call that the library would refuse as wrong.
struct Wrong {};
void require(bool condition) {
  if (!condition) throw Wrong{};
}

Node& node(cudnnBackendDescriptor_t at) {
  auto* const found = static_cast<Node*>(at);
  require(alive.count(found) == 1);
  return *found;
}

size_t bytes_of(cudnnBackendAttributeType_t type) {
  switch (type) {
    case CUDNN_TYPE_INT64:
    case CUDNN_TYPE_HANDLE:
    case CUDNN_TYPE_VOID_PTR:
    case CUDNN_TYPE_BACKEND_DESCRIPTOR:
      return 8;
    default:
      return 4;
  }
}

/// An attribute that has been set, with exactly so many values.
template <class T>
std::vector<T> all(const Node& of, cudnnBackendAttributeName_t name, int64_t count) {
  const auto found = of.values.find(name);
  require(found != of.values.end() && found->second.count == count &&
          found->second.bytes.size() == size_t(count) * sizeof(T));
  std::vector<T> out(static_cast<size_t>(count));
  std::memcpy(out.data(), found->second.bytes.data(), found->second.bytes.size());
  return out;
}
template <class T>
T one(const Node& of, cudnnBackendAttributeName_t name) {
  return all<T>(of, name, 1)[0];
}
Node& child(const Node& of, cudnnBackendAttributeName_t name) {
  return node(one<cudnnBackendDescriptor_t>(of, name));
}

int base(const Node& of) { return of.engine % 10; }
bool has_tensor_cores(const Node& of) { return of.engine >= 10; }

/// The best first, those that nobody may take before all others.
std::vector<int> engines(cudnnBackendHeurMode_t mode) {
  if (mode == CUDNN_HEUR_MODE_FALLBACK) return {0, 2};
  if (ranks_are_hidden()) return {};
  if (mode == CUDNN_HEUR_MODE_A) return {10, 0, 13, 3, 14, 4, 16, 6, 1, 11, 15, 5};
  return {11, 1, 12, 2};
}

bool fails(const Node& config, Failing where) { return failing(base(config)) == where; }

/// Whether it runs on this device; throws what is wrong with it.
bool complete(const Node& of) {
  require(!of.finalized);
  for (const auto& [name, value] : of.values)
    if (value.type == CUDNN_TYPE_BACKEND_DESCRIPTOR)
      for (int64_t i = 0; i < value.count; ++i) {
        cudnnBackendDescriptor_t at;
        std::memcpy(&at, value.bytes.data() + 8 * i, 8);
        require(node(at).finalized);
      }
  switch (of.type) {
    case CUDNN_BACKEND_TENSOR_DESCRIPTOR: {
      const auto d = all<int64_t>(of, CUDNN_ATTR_TENSOR_DIMENSIONS, 4);
      const auto type = one<cudnnDataType_t>(of, CUDNN_ATTR_TENSOR_DATA_TYPE);
      one<int64_t>(of, CUDNN_ATTR_TENSOR_UNIQUE_ID);
      require(one<int64_t>(of, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT) == 16);
      require(type == CUDNN_DATA_BFLOAT16 || type == CUDNN_DATA_FLOAT);
      return all<int64_t>(of, CUDNN_ATTR_TENSOR_STRIDES, 4) ==
             std::vector<int64_t>{d[1] * d[2] * d[3], 1, d[1] * d[3], d[1]};
    }
    case CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR:
      require(one<int64_t>(of, CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS) == 2);
      require(all<int64_t>(of, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, 2) ==
              all<int64_t>(of, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, 2));
      require(all<int64_t>(of, CUDNN_ATTR_CONVOLUTION_DILATIONS, 2) == std::vector<int64_t>{1, 1});
      all<int64_t>(of, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, 2);
      return one<cudnnDataType_t>(of, CUDNN_ATTR_CONVOLUTION_COMP_TYPE) == CUDNN_DATA_FLOAT &&
             one<cudnnConvolutionMode_t>(of, CUDNN_ATTR_CONVOLUTION_CONV_MODE) == CUDNN_CROSS_CORRELATION;
    case CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR:
      child(of, CUDNN_ATTR_OPERATIONGRAPH_OPS);
      require(one<cudnnHandle_t>(of, CUDNN_ATTR_OPERATIONGRAPH_HANDLE) != nullptr);
      return true;
    case CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR:
      child(of, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH);
      return !engines(one<cudnnBackendHeurMode_t>(of, CUDNN_ATTR_ENGINEHEUR_MODE)).empty();
    case CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR:
      require(one<cudnnHandle_t>(of, CUDNN_ATTR_EXECUTION_PLAN_HANDLE) != nullptr);
      return base(child(of, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG)) != 3;
    case CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR:
      all<int64_t>(of, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, 3);
      all<void*>(of, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, 3);
      return true;
    default:  // operations: the plan reads them
      return true;
  }
}

int64_t workspace_of(const Node& plan) {
  const int number = base(child(plan, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG));
  return number == 4 ? int64_t{2} << 30 : 1000 * number;
}

/// Answers into `out`, which has room for `most`; returns how many there are.
template <class T>
int64_t answer(const std::vector<T>& values, int64_t most, void* out) {
  std::copy_n(values.begin(), std::min<int64_t>(most, values.size()), static_cast<T*>(out));
  return static_cast<int64_t>(values.size());
}
/// Answers that are descriptors: the caller has made them.
int64_t fill(const std::vector<int>& numbers, Node* graph, cudnnBackendDescriptorType_t type, int64_t most,
             void* out) {
  for (int64_t i = 0; i < std::min<int64_t>(most, numbers.size()); ++i) {
    Node& into = node(static_cast<cudnnBackendDescriptor_t*>(out)[i]);
    require(into.type == type && !into.finalized);
    into.engine = numbers[size_t(i)];
    into.graph = graph;
    into.finalized = true;
  }
  return static_cast<int64_t>(numbers.size());
}

int64_t look_up(const Node& of, cudnnBackendAttributeName_t name, int64_t most, void* out) {
  require(of.finalized);
  switch (name) {
    case CUDNN_ATTR_ENGINEHEUR_RESULTS:
      return fill(engines(one<cudnnBackendHeurMode_t>(of, CUDNN_ATTR_ENGINEHEUR_MODE)),
                  &child(of, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH), CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, most,
                  out);
    case CUDNN_ATTR_ENGINECFG_ENGINE:
      return fill({of.engine}, nullptr, CUDNN_BACKEND_ENGINE_DESCRIPTOR, most, out);
    case CUDNN_ATTR_ENGINECFG_KNOB_CHOICES:
      return fill({of.engine}, nullptr, CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR, most, out);
    case CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE:
      return answer<cudnnBackendKnobType_t>({CUDNN_KNOB_TYPE_TILE_SIZE}, most, out);
    case CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE:
      return answer<int64_t>({100 + of.engine}, most, out);
    case CUDNN_ATTR_ENGINE_GLOBAL_INDEX:
      return answer<int64_t>({of.engine}, most, out);
    case CUDNN_ATTR_ENGINE_NUMERICAL_NOTE: {
      std::vector<cudnnBackendNumericalNote_t> notes;
      if (has_tensor_cores(of)) notes.push_back(CUDNN_NUMERICAL_NOTE_TENSOR_CORE);
      if (base(of) == 0) notes.push_back(CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC);
      return answer(notes, most, out);
    }
    case CUDNN_ATTR_ENGINE_BEHAVIOR_NOTE:
      if (base(of) != 6) return 0;
      return answer<cudnnBackendBehaviorNote_t>({CUDNN_BEHAVIOR_NOTE_RUNTIME_COMPILATION}, most, out);
    case CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE:
      return answer<int64_t>({workspace_of(of)}, most, out);
    default:
      throw Wrong{};
  }
}

/// Whether sums begin at the end: never in 1, always in 2, every other time in 0.
bool from_the_end(int number) {
  static bool turn = false;
  turn = !turn;
  return number == 2 || (number == 0 && turn);
}

using Name = cudnnBackendAttributeName_t;
struct Names {
  Name x, w, y, conv, alpha, beta;
};
constexpr Names kForward = {
    CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X,     CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W,
    CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y,     CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC,
    CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA};
constexpr Names kBackwardData = {
    CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX,    CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W,
    CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY,    CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC,
    CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA};
constexpr Names kBackwardFilter = {
    CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X,     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW,
    CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY,    CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC,
    CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA};

cudnnStatus_t execute(cudnnHandle_t handle, const Node& plan, const Node& pack) {
  require(plan.finalized && pack.finalized);
  const Node& config = child(plan, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG);
  void* const workspace = one<void*>(pack, CUDNN_ATTR_VARIANT_PACK_WORKSPACE);
  require(workspace || workspace_of(plan) == 0);
  if (base(config) == 5) return CUDNN_STATUS_NOT_SUPPORTED;
  if (fails(config, Failing::when_run)) return CUDNN_STATUS_EXECUTION_FAILED;
  const Node& operation = child(node(config.graph), CUDNN_ATTR_OPERATIONGRAPH_OPS);
  const bool forward = operation.type == CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR;
  const bool data = operation.type == CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR;
  const Names& names = forward ? kForward : data ? kBackwardData : kBackwardFilter;
  const Node &x = child(operation, names.x), &w = child(operation, names.w), &y = child(operation, names.y),
             &conv = child(operation, names.conv);
  const auto dims = [](const Node& of) { return all<int64_t>(of, CUDNN_ATTR_TENSOR_DIMENSIONS, 4); };
  const auto dx = dims(x), dw = dims(w), dy = dims(y);
  require(dx[0] == dy[0] && dx[1] == dw[1] && dw[0] == dy[1] && dw[2] == dw[3]);
  require(one<float>(operation, names.alpha) == 1);
  const auto first = [&](Name name) { return int(all<int64_t>(conv, name, 2)[0]); };
  const Convolution call{int(dx[0]),
                         int(dx[2]),
                         int(dx[3]),
                         int(dx[1]),
                         int(dy[1]),
                         int(dw[2]),
                         first(CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS),
                         first(CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES),
                         int(dy[2]),
                         int(dy[3]),
                         one<cudnnDataType_t>(x, CUDNN_ATTR_TENSOR_DATA_TYPE),
                         one<float>(operation, names.beta),
                         from_the_end(base(config)),
                         has_tensor_cores(config)};
  const auto ids = all<int64_t>(pack, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, 3);
  const auto pointers = all<void*>(pack, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, 3);
  const auto pointer_of = [&](const Node& tensor) {
    const auto at = std::find(ids.begin(), ids.end(), one<int64_t>(tensor, CUDNN_ATTR_TENSOR_UNIQUE_ID));
    require(at != ids.end());
    return pointers[size_t(at - ids.begin())];
  };
  void *const px = pointer_of(x), *const pw = pointer_of(w), *const py = pointer_of(y);
  spend_time_of(base(config));
  emulator::enqueue(handle->stream, [=] {
    const DeviceScope scope("cudnnBackendExecute");
    if (forward) call.forward(px, pw, py);
    else if (data) call.backward_data(px, pw, py);
    else call.backward_filter(px, pw, py);
  });
  return CUDNN_STATUS_SUCCESS;
}

/// What f returns, or that its caller was wrong.
template <class F>
cudnnStatus_t refusing(F f) {
  try {
    return f();
  } catch (const Wrong&) {
    return CUDNN_STATUS_BAD_PARAM;
  }
}

}  // namespace

int64_t emulator::descriptors_alive() { return static_cast<int64_t>(alive.size()); }
int64_t emulator::plans_finalised() { return plans; }

void* emulator::find_cudnn_backend(const char* name) {
  const auto is = [&](const char* other) { return std::strcmp(name, other) == 0; };
  if (is("cudnnBackendCreateDescriptor"))
    return address(+[](cudnnBackendDescriptorType_t type, cudnnBackendDescriptor_t* out) {
      COUNTED("cudnnBackendCreateDescriptor");
      auto* const made = new Node{type, false, 0, nullptr, {}};
      alive.insert(made);
      *out = made;
      return CUDNN_STATUS_SUCCESS;
    });
  if (is("cudnnBackendDestroyDescriptor"))
    return address(+[](cudnnBackendDescriptor_t at) {
      COUNTED("cudnnBackendDestroyDescriptor");
      return refusing([&] {
        Node* const gone = &node(at);
        alive.erase(gone);
        delete gone;
        return CUDNN_STATUS_SUCCESS;
      });
    });
  if (is("cudnnBackendSetAttribute"))
    return address(+[](cudnnBackendDescriptor_t at, cudnnBackendAttributeName_t attribute,
                       cudnnBackendAttributeType_t type, int64_t count, const void* values) {
      COUNTED("cudnnBackendSetAttribute");
      return refusing([&] {
        Node& of = node(at);
        require(!of.finalized && count > 0);
        const auto* const bytes = static_cast<const char*>(values);
        of.values[attribute] = {type, count, {bytes, bytes + size_t(count) * bytes_of(type)}};
        return CUDNN_STATUS_SUCCESS;
      });
    });
  if (is("cudnnBackendGetAttribute"))
    return address(+[](cudnnBackendDescriptor_t at, cudnnBackendAttributeName_t attribute,
                       cudnnBackendAttributeType_t, int64_t most, int64_t* count, void* out) {
      COUNTED("cudnnBackendGetAttribute");
      return refusing([&] {
        *count = look_up(node(at), attribute, most, out);
        return CUDNN_STATUS_SUCCESS;
      });
    });
  if (is("cudnnBackendFinalize"))
    return address(+[](cudnnBackendDescriptor_t at) {
      COUNTED("cudnnBackendFinalize");
      return refusing([&] {
        Node& of = node(at);
        if (of.type == CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR) {
          ++plans;
          if (fails(child(of, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG), Failing::as_a_plan))
            return CUDNN_STATUS_INTERNAL_ERROR;
        }
        of.finalized = complete(of);
        return of.finalized ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_NOT_SUPPORTED;
      });
    });
  if (is("cudnnBackendExecute"))
    return address(+[](cudnnHandle_t handle, cudnnBackendDescriptor_t plan, cudnnBackendDescriptor_t pack) {
      COUNTED("cudnnBackendExecute");
      return refusing([&] { return execute(handle, node(plan), node(pack)); });
    });
  return nullptr;
}
