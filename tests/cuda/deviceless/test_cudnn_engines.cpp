// The real cuDNN, asked on a machine without a GPU what it offers for one: its heuristics and its plans need
// the properties of a device, not the device. Nothing is run.
#define CATCH_CONFIG_EXTERNAL_INTERFACES
#include <catch2/catch.hpp>

#include <algorithm>
#include <chrono>
#include <iostream>

#include "kernels/check.h"
#include "kernels/cuda_conv_graph.h"

using namespace stopgrad;
using namespace stopgrad::cuda;

namespace {

/// In the form that cuDNN writes for a device it sees (CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION).
const std::string kH100 =
    R"({"cudaDeviceId":0,"deviceVer":900,"driverVer":13000,)"
    R"("maxGridSize":[2147483647,65535,65535],"maxBlockSize":[1024,1024,64],)"
    R"("regsPerBlock":65536,"multiProcessorCount":132,"warpSize":32,)"
    R"("maxSharedMemoryPerBlock":49152,"maxSharedMemoryPerBlockOptin":232448,)"
    R"("reservedSharedMemoryPerBlock":1024,"maxRegistersPerSM":65536,"maxCtasPerSM":32,)"
    R"("maxThreadsPerBlock":1024,"maxThreadsPerSM":2048,"pciDeviceId":0,"isTccDriver":0,)"
    R"("supportCoopLaunch":1,"smClockRateKHz":1980000,"memClockRateKHz":2619000,)"
    R"("l2CacheSize":52428800,"totalGlobalMem":85000000000,"deviceName":"H100"})";

const Cudnn& dnn() {
  static const Cudnn library(nullptr);
  return library;
}

const Descriptor& h100() {
  static const Descriptor properties =
      Descriptor(dnn(), CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR)
          .set(CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, std::vector<char>(kH100.begin(), kH100.end()))
          .finalized("an H100");
  return properties;
}

/// Convolutions of ResNet-18 for CIFAR, 512 pairs with both views as one batch, and of ResNet-50's first
/// stage.
const ConvShape kLayers[] = {
    {1024, 32, 32, 8, 64, 3, 1, 1},    {1024, 32, 32, 64, 64, 3, 1, 1},   {1024, 32, 32, 64, 128, 3, 2, 1},
    {1024, 32, 32, 64, 128, 1, 2, 0},  {1024, 16, 16, 128, 128, 3, 1, 1}, {1024, 16, 16, 128, 256, 3, 2, 1},
    {1024, 16, 16, 128, 256, 1, 2, 0}, {1024, 8, 8, 256, 256, 3, 1, 1},   {1024, 8, 8, 256, 512, 3, 2, 1},
    {1024, 8, 8, 256, 512, 1, 2, 0},   {1024, 4, 4, 512, 512, 3, 1, 1},   {256, 224, 224, 8, 64, 7, 2, 3},
    {256, 56, 56, 64, 256, 1, 1, 0},
};
constexpr const char* kDirections[] = {"forward", "backward input", "backward weight"};

ConvGraph graph_of(ConvDirection direction, const ConvShape& shape, DType dtype, bool accumulate) {
  return ConvGraph(dnn(), {nullptr, &h100()}, direction, shape, dtype, accumulate, "a convolution");
}

std::vector<ConvEngine> offered(ConvDirection direction, const ConvShape& shape, DType dtype,
                                bool tensor_cores, bool accumulate) {
  return graph_of(direction, shape, dtype, accumulate).offered(tensor_cores);
}

/// Adds the time that f takes to `seconds`.
template <class F>
auto timed(double& seconds, F f) {
  const auto start = std::chrono::steady_clock::now();
  auto out = f();
  seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return out;
}

/// NHWC, number `id`.
Descriptor tensor(int64_t id, cudnnDataType_t type, int64_t n, int64_t c, int64_t h) {
  return Descriptor(dnn(), CUDNN_BACKEND_TENSOR_DESCRIPTOR)
      .set(CUDNN_ATTR_TENSOR_UNIQUE_ID, id)
      .set(CUDNN_ATTR_TENSOR_DATA_TYPE, type)
      .set(CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, int64_t{16})
      .set(CUDNN_ATTR_TENSOR_DIMENSIONS, std::vector<int64_t>{n, c, h, h})
      .set(CUDNN_ATTR_TENSOR_STRIDES, std::vector<int64_t>{h * h * c, 1, h * c, c})
      .finalized("a tensor");
}

Descriptor convolution_of_3x3() {
  const std::vector<int64_t> ones{1, 1};
  return Descriptor(dnn(), CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR)
      .set(CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_DATA_FLOAT)
      .set(CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_CROSS_CORRELATION)
      .set(CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, int64_t{2})
      .set(CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, ones)
      .set(CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, ones)
      .set(CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, ones)
      .set(CUDNN_ATTR_CONVOLUTION_DILATIONS, ones)
      .finalized("a convolution");
}

/// How many engines there are in all three lists that need no compiler at run time.
size_t ready_made(const std::vector<cudnnBackendDescriptor_t>& operations) {
  Descriptor graph(dnn(), CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
  graph.set_descriptors(CUDNN_ATTR_OPERATIONGRAPH_OPS, operations);
  REQUIRE(graph.finalize());
  size_t count = 0;
  for (const auto rank : {CUDNN_HEUR_MODE_A, CUDNN_HEUR_MODE_B, CUDNN_HEUR_MODE_FALLBACK}) {
    Descriptor heuristics(dnn(), CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
    heuristics.set(CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, graph)
        .set(CUDNN_ATTR_ENGINEHEUR_MODE, rank)
        .set(CUDNN_ATTR_ENGINEHEUR_DEVICEPROP, h100());
    if (!heuristics.finalize()) continue;
    for (const Descriptor& config :
         heuristics.descriptors(CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR)) {
      const auto engine = config.descriptors(CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_BACKEND_ENGINE_DESCRIPTOR, 1);
      const auto notes = engine.at(0).values<cudnnBackendBehaviorNote_t>(CUDNN_ATTR_ENGINE_BEHAVIOR_NOTE,
                                                                         CUDNN_BEHAVIOR_NOTE_TYPE_COUNT);
      count += std::count(notes.begin(), notes.end(), CUDNN_BEHAVIOR_NOTE_RUNTIME_COMPILATION) == 0;
    }
  }
  return count;
}

/// Engines for a 3x3 convolution of `type` with the sums and sums of squares of y's channels.
size_t with_statistics(cudnnDataType_t type) {
  const Descriptor x = tensor(1, type, 1024, 64, 32), w = tensor(2, type, 64, 64, 3),
                   y = tensor(3, type, 1024, 64, 32), sums = tensor(4, CUDNN_DATA_FLOAT, 1, 64, 1),
                   squares = tensor(5, CUDNN_DATA_FLOAT, 1, 64, 1), conv = convolution_of_3x3();
  const Descriptor forward = Descriptor(dnn(), CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR)
                                 .set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X, x)
                                 .set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W, w)
                                 .set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y, y)
                                 .set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC, conv)
                                 .set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA, 1.0f)
                                 .set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA, 0.0f)
                                 .finalized("a convolution");
  const Descriptor statistics = Descriptor(dnn(), CUDNN_BACKEND_OPERATION_GEN_STATS_DESCRIPTOR)
                                    .set(CUDNN_ATTR_OPERATION_GENSTATS_MODE, CUDNN_GENSTATS_SUM_SQSUM)
                                    .set(CUDNN_ATTR_OPERATION_GENSTATS_MATH_PREC, CUDNN_DATA_FLOAT)
                                    .set(CUDNN_ATTR_OPERATION_GENSTATS_XDESC, y)
                                    .set(CUDNN_ATTR_OPERATION_GENSTATS_SUMDESC, sums)
                                    .set(CUDNN_ATTR_OPERATION_GENSTATS_SQSUMDESC, squares)
                                    .finalized("statistics");
  return ready_made({forward.get(), statistics.get()});
}

/// Engines for the gradient of 3x3 weights, written as `written`, from x and dy of `type`.
size_t weight_gradient(cudnnDataType_t type, cudnnDataType_t written) {
  const Descriptor x = tensor(1, type, 1024, 64, 32), dw = tensor(2, written, 64, 64, 3),
                   dy = tensor(3, type, 1024, 64, 32), conv = convolution_of_3x3();
  const Descriptor operation =
      Descriptor(dnn(), CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR)
          .set(CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X, x)
          .set(CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW, dw)
          .set(CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY, dy)
          .set(CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC, conv)
          .set(CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA, 1.0f)
          .set(CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA, 0.0f)
          .finalized("a gradient");
  return ready_made({operation.get()});
}

}  // namespace

TEST_CASE("cuDNN has deterministic engines for every convolution of a training step", "[deviceless]") {
  double all = 0, ranked = 0, found = 0;  // seconds
  for (const ConvShape& s : kLayers)
    for (const auto direction :
         {ConvDirection::forward, ConvDirection::backward_input, ConvDirection::backward_weight}) {
      const auto engines = offered(direction, s, DType::bf16, true, false);
      fmt::print("{:16} {:4} x {:3} x {:3} x {:3} to {:3}, {}x{} by {}: {:2} engines, first {}, {:.1f} MiB\n",
                 kDirections[int(direction)], s.images, s.height, s.width, s.channels, s.out_channels,
                 s.kernel, s.kernel, s.stride, engines.size(), engines.at(0).text,
                 double(engines[0].workspace) / (1 << 20));
      CHECK(engines.size() > 1);
      for (const ConvEngine& each : engines) CHECK(each.workspace <= kConvWorkspace);
      // A kept choice is found again by its text, which is that of one engine only.
      std::vector<std::string> texts, again;
      for (const ConvEngine& each : engines) texts.push_back(each.text);
      for (const ConvEngine& each : offered(direction, s, DType::bf16, true, false))
        again.push_back(each.text);
      CHECK(texts == again);
      const ConvGraph graph = graph_of(direction, s, DType::bf16, false);
      timed(all, [&] { return graph.offered(true).size(); });
      const auto first = timed(ranked, [&] { return graph.offered(true, 1); });
      CHECK((first.size() == 1 && first[0].text == texts[0]));
      const auto kept = timed(found, [&] { return graph.find(texts.back(), true); });
      CHECK((kept && kept->text == texts.back()));
      CHECK_FALSE(graph.find("no engine", true));
      std::sort(texts.begin(), texts.end());
      CHECK(std::adjacent_find(texts.begin(), texts.end()) == texts.end());
      // Floats in either arithmetic, and results that are added to.
      CHECK_FALSE(offered(direction, s, DType::f32, false, false).empty());
      CHECK_FALSE(offered(direction, s, DType::f32, true, true).empty());
      CHECK_FALSE(offered(direction, s, DType::bf16, true, true).empty());
    }
  fmt::print("plans of all engines took {:.2f} s, of the first {:.2f} s, of one that is kept {:.2f} s\n", all,
             ranked, found);
}

TEST_CASE("odd channels have engines too", "[deviceless]") {
  for (const auto direction :
       {ConvDirection::forward, ConvDirection::backward_input, ConvDirection::backward_weight})
    for (const DType dtype : {DType::bf16, DType::f32})
      CHECK_FALSE(offered(direction, {3, 7, 5, 5, 7, 3, 2, 1}, dtype, dtype == DType::bf16, false).empty());
}

TEST_CASE("cuDNN has no ready-made bf16 convolution with statistics, nor a float gradient of bf16 weights",
          "[deviceless]") {
  const size_t half = with_statistics(CUDNN_DATA_HALF), bf16 = with_statistics(CUDNN_DATA_BFLOAT16);
  const size_t same = weight_gradient(CUDNN_DATA_BFLOAT16, CUDNN_DATA_BFLOAT16),
               wider = weight_gradient(CUDNN_DATA_BFLOAT16, CUDNN_DATA_FLOAT);
  fmt::print("with statistics: {} engines in half, {} in bf16; dw of bf16: {} engines in bf16, {} in float\n",
             half, bf16, same, wider);
  CHECK(half > 0);  // else the question was wrong
  CHECK(bf16 == 0);
  CHECK(same > 0);
  CHECK(wider == 0);
}

namespace {

struct NeedsCudnn : Catch::TestEventListenerBase {
  using TestEventListenerBase::TestEventListenerBase;
  void testRunStarting(const Catch::TestRunInfo&) override {
    try {
      fmt::print("cuDNN {}\n", dnn().cudnnGetVersion());
    } catch (const Error& error) {
      std::cout << "skipped: " << error.what() << std::endl;
      std::exit(77);
    }
  }
};

}  // namespace

CATCH_REGISTER_LISTENER(NeedsCudnn)
