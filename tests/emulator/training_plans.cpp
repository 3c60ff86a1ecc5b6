// The search for algorithms, over stand-ins that take as long as a test says.
#include <catch2/catch.hpp>

#include "kernels/conv2d.h"
#include "kernels/cuda_libraries.h"
#include "kernels/cuda_plan_search.h"
#include "kernels/gemm.h"
#include "tests/emulator/device_memory.h"
#include "tests/emulator/fake_libraries.h"
#include "tests/emulator/runtime_calls.h"
#include "tests/small_run.h"

#include <cuda_runtime_api.h>
#include <fcntl.h>

using namespace stopgrad;
using namespace stopgrad::test;

namespace {

/// The search on, its file in a folder of its own, algorithm 1 the fastest; all as before at the end.
struct Searching {
  Folder cache;
  Searching() {
    emulator::reset_device();
    setenv("STOPGRAD_PLAN_SEARCH", "auto", 1);
    setenv("XDG_CACHE_HOME", cache.path.c_str(), 1);
    make_fastest(1);
  }
  ~Searching() {
    unsetenv("STOPGRAD_PLAN_SEARCH");
    unsetenv("XDG_CACHE_HOME");
    for (int algorithm = 0; algorithm < emulator::kAlgorithms; ++algorithm) {
      emulator::set_algorithm_time(algorithm, 0);
      emulator::make_fail(algorithm, emulator::Failing::nowhere);
    }
    emulator::hide_ranks(false);
    emulator::set_device_bytes(size_t{256} << 20);
    emulator::reset_device();
  }
  /// All others would be quicker still: those that nobody may take or run.
  static void make_fastest(int algorithm) {
    for (int i = 0; i < emulator::kAlgorithms; ++i)
      emulator::set_algorithm_time(i, i == 1 || i == 2 ? (i == algorithm ? 500.0f : 900.0f) : 100.0f);
  }
};

constexpr ConvShape kShape{2, 4, 4, 8, 8, 3, 1, 1};
constexpr const char* kText = "2 images 4x4x8 to 8, kernel 3, stride 1, padding 1";

/// Timed runs of the search for one convolution in floats: five of each of two engines.
constexpr int kTimed = 10;

/// One convolution, and which of the stand-in's engines the book then has for it.
template <class T = float>
std::string forward(cuda::Context& context) {
  T* const memory = static_cast<T*>(context.allocate(5000 * sizeof(T)));
  context.fill(memory, 0, 5000 * sizeof(T));
  run(ConvForward<T>{kShape, memory, memory + 1000, memory + 2000}, context);
  context.free(memory);
  const std::string text = context.libraries().book().text(), mark = " = ";
  const size_t at = text.find(mark) + mark.size();
  return text.substr(at, text.find(' ', at) - at);
}

/// What f returns, with what it wrote to stderr in `text`.
template <class F>
std::string stderr_of(std::string& text, F f) {
  const Folder folder;
  std::fflush(stderr);
  const int kept = dup(STDERR_FILENO), file = open(folder.path.c_str(), O_RDWR | O_CREAT | O_EXCL, 0600);
  dup2(file, STDERR_FILENO);
  const std::string out = f();
  std::fflush(stderr);
  dup2(kept, STDERR_FILENO);
  close(kept);
  close(file);
  std::ifstream in(folder.path);
  text.assign(std::istreambuf_iterator<char>(in), {});
  return out;
}

Recipe cuda_recipe() {
  Recipe recipe = small_recipe();
  recipe.device = "cuda";
  return recipe;
}

}  // namespace

TEST_CASE("the fastest algorithm that always gives the same bits is taken and kept", "[cuda][plans]") {
  Searching searching;
  {
    cuda::Context context;
    Searching::make_fastest(2);
    CHECK(forward(context) == "2");
  }
  Searching::make_fastest(1);
  {
    cuda::Context context;
    CHECK(forward(context) == "2");  // from the file
    setenv("STOPGRAD_PLAN_SEARCH", "off", 1);
    cuda::Context plain;
    CHECK(forward(plain) == "1");  // what the library ranks first
    const auto names = emulator::take_call_names();
    CHECK(std::count(names.begin(), names.end(), std::string("cudaEventElapsedTime")) == kTimed);
  }
  setenv("STOPGRAD_PLAN_SEARCH", "fast", 1);
  cuda::Context wrong;
  CHECK_THROWS_WITH(forward(wrong), Catch::Contains("choose auto or off"));
}

TEST_CASE("the shortest median wins, and a lead of less than three percent does not", "[cuda][plans]") {
  Searching searching;
  cuda::Context context;
  size_t operands = SIZE_MAX;  // bytes
  const auto winner = [&](const std::vector<std::vector<float>>& times, std::vector<int>* order = nullptr) {
    std::vector<size_t> runs(times.size());
    return cuda::fastest(context, static_cast<int>(times.size()), operands, [&](int i) {
      const auto at = static_cast<size_t>(i);
      if (order) order->push_back(i);
      if (times[at].empty()) return false;
      emulator::set_algorithm_time(3, times[at][runs[at]++]);
      emulator::spend_time_of(3);
      return true;
    });
  };
  const std::vector<float> steady = {900, 100, 100, 100, 100, 100}, lead_of_2 = {1, 95, 95, 98, 98, 98},
                           lead_of_4 = {900, 96, 96, 96, 96, 96}, disturbed = {900, 900, 95, 900, 95, 95},
                           lucky = {900, 900, 95, 900, 900, 95};
  std::vector<int> order;
  CHECK(winner({steady, {}, lead_of_2}, &order) == 0);
  CHECK(order == std::vector<int>{0, 1, 2, 0, 2, 0, 2, 0, 2, 0, 2, 0, 2});
  CHECK(winner({lead_of_2, steady}) == 0);
  CHECK(winner({steady, lead_of_4, lead_of_2}) == 1);
  CHECK(winner({steady, disturbed}) == 1);
  CHECK(winner({steady, lucky}) == 0);
  CHECK(winner({{}, steady}) == 1);
  CHECK(winner({{}, {}}) == -1);
  // Of few operands every second run is not timed: it brings them into the second cache.
  operands = 1 << 20;
  order.clear();
  CHECK(winner({{900, 900, 100, 900, 100, 900, 100, 900, 100, 900, 100},
                {1, 1, 101, 1, 101, 1, 101, 1, 101, 1, 101}},
               &order) == 0);
  CHECK(order == std::vector<int>{0, 1, 0, 0, 1, 1, 0, 0, 1, 1, 0, 0, 1, 1, 0, 0, 1, 1, 0, 0, 1, 1});
}

TEST_CASE("each timed run begins behind work that keeps the device busy", "[cuda][plans]") {
  Searching searching;
  cuda::Context context;
  emulator::take_call_names();
  cuda::fastest(context, 2, SIZE_MAX, [](int) { return true; });
  const auto calls = emulator::take_call_names();
  const std::vector<std::string> names(calls.begin(), calls.end());
  int records = 0;
  for (size_t i = 0; i < names.size(); ++i)
    if (names[i] == "cudaEventRecord" && records++ % 2 == 0) CHECK(names[i - 1] == "cudaMemsetAsync");
  CHECK(records == 20);
}

TEST_CASE("products are searched for as well, and floats keep to the arithmetic they were promised",
          "[cuda][plans]") {
  Searching searching;
  Searching::make_fastest(2);
  cuda::Context context;
  auto* const memory = static_cast<float*>(context.allocate(5000 * sizeof(float)));
  context.fill(memory, 0, 5000 * sizeof(float));
  run(Gemm<float, float>{4, 5, 6, false, true, memory, memory + 100, memory + 200, false, memory + 300},
      context);
  const float row[] = {1e8f, -1e8f, 1}, ones[] = {1, 1, 1};  // 1 from the first on, 0 from the last
  context.copy_to_device(memory, row, sizeof row);
  context.copy_to_device(memory + 100, ones, sizeof ones);
  run(Gemm<float, float>{1, 1, 3, false, false, memory, memory + 100, memory + 200, false, nullptr}, context);
  float sum = NAN;
  context.copy_to_host(&sum, memory + 200, sizeof sum);
  CHECK(sum == 0);
  context.free(memory);
  CHECK_THAT(context.libraries().book().text(),
             Catch::Contains("gemm, float32 to float32, 4 x 5 x 6, b transposed, bias = 2 0"));
  forward(context);
  context.float_math = cuda::FloatMath::tf32;
  forward(context);
  const std::string text = context.libraries().book().text();
  CHECK_THAT(text, Catch::Contains(fmt::format("conv forward, float32, {} = 2 2=102\n", kText)));
  CHECK_THAT(text, Catch::Contains(fmt::format("conv forward, float32 in tf32, {} = 12 2=112\n", kText)));
}

TEST_CASE("an algorithm that a file names and the library lacks is searched for anew", "[cuda][plans]") {
  Searching searching;
  {
    cuda::Context context;
    forward(context);
    cuda::PlanBook& book = context.libraries().book();
    const std::string text = book.text(), key = text.substr(text.find("conv"));
    book.take(key.substr(0, key.find(" = ")), "9 2=109", true);
  }
  Searching::make_fastest(2);
  cuda::Context context;
  CHECK(forward(context) == "2");
}

TEST_CASE("bf16 goes to tensor cores while cuDNN's ranks have any, and to what is left when they are empty",
          "[cuda][plans]") {
  Searching searching;
  {
    cuda::Context context;
    CHECK(forward<bf16>(context) == "11");
  }
  setenv("STOPGRAD_PLAN_SEARCH", "off", 1);
  {
    cuda::Context context;
    CHECK(forward<bf16>(context) == "11");
  }
  emulator::hide_ranks(true);
  cuda::Context context;
  CHECK(forward<bf16>(context) == "2");
}

TEST_CASE("a result that is added to has a plan of its own", "[cuda][plans]") {
  Searching searching;
  cuda::Context context;
  auto* const memory = static_cast<float*>(context.allocate(5000 * sizeof(float)));
  context.fill(memory, 0, 5000 * sizeof(float));
  for (const bool accumulate : {false, true})
    run(ConvBackwardWeight<float>{kShape, memory, memory + 1000, memory + 2000, accumulate}, context);
  const ConvBackwardInput<float> odd{kShape, memory + 1, memory + 1000, memory + 2000, false};
  CHECK_THROWS_WITH(run(odd, context), Catch::Contains("multiples of 16 bytes"));
  context.free(memory);
  const std::string text = context.libraries().book().text();
  CHECK_THAT(text, Catch::Contains("conv backward weight, float32"));
  CHECK_THAT(text, Catch::Contains("conv backward weight added, float32"));
}

TEST_CASE("plans leave no descriptor behind", "[cuda][plans]") {
  Searching searching;
  const int64_t before = emulator::descriptors_alive();
  {
    cuda::Context context;
    forward(context);
    forward<bf16>(context);
    CHECK(emulator::descriptors_alive() > before);
  }
  CHECK(emulator::descriptors_alive() == before);
}

TEST_CASE("plans are made of the engines that a search times, and of the one that is kept or ranked first",
          "[cuda][plans]") {
  Searching searching;
  Searching::make_fastest(2);
  const auto plans_of = [](const char* search, const char* engine) {
    setenv("STOPGRAD_PLAN_SEARCH", search, 1);
    const int64_t before = emulator::plans_finalised();
    cuda::Context context;
    CHECK(forward(context) == engine);
    return emulator::plans_finalised() - before;
  };
  CHECK(plans_of("auto", "2") == 5);  // 1 and 2, and those that turn out to be unfit or too large
  CHECK(plans_of("auto", "2") == 1);
  CHECK(plans_of("off", "1") == 3);  // after 3, which has none, and 4, which wants too much memory
  std::string checkpoint;
  {
    setenv("STOPGRAD_PLAN_SEARCH", "auto", 1);
    cuda::Context context;
    forward(context);
    checkpoint = context.libraries().book().text();
  }
  setenv("STOPGRAD_PLAN_SEARCH", "off", 1);
  cuda::Context context;
  REQUIRE(cuda::pin_library_plans(context, checkpoint).empty());
  const int64_t before = emulator::plans_finalised();
  CHECK(forward(context) == "2");
  CHECK(emulator::plans_finalised() - before == 1);
}

TEST_CASE("an engine that fails is passed over while the device is well", "[cuda][plans][failures]") {
  Searching searching;
  const auto with_failing = [](int algorithm, emulator::Failing where) {
    emulator::make_fail(algorithm, where);
    cuda::Context context;
    const std::string taken = forward(context);
    CHECK(forward(context) == taken);
    emulator::make_fail(algorithm, emulator::Failing::nowhere);
    return taken;
  };
  for (const auto where : {emulator::Failing::as_a_plan, emulator::Failing::when_run}) {
    INFO(static_cast<int>(where));
    CHECK(with_failing(1, where) == "2");
    fs::remove_all(searching.cache.path);
    CHECK(with_failing(2, where) == "1");
    fs::remove_all(searching.cache.path);
  }
}

TEST_CASE("where every engine fails, the first of their errors is told", "[cuda][plans][failures]") {
  Searching searching;
  for (int algorithm = 0; algorithm < emulator::kAlgorithms; ++algorithm)
    emulator::make_fail(algorithm, emulator::Failing::as_a_plan);
  cuda::Context context;
  CHECK_THROWS_WITH(forward(context),
                    Catch::Contains("convolution of 2 images 4x4x8") && Catch::Contains("the first with"));
  CHECK(context.usable());
  for (int algorithm = 0; algorithm < emulator::kAlgorithms; ++algorithm)
    emulator::make_fail(algorithm, emulator::Failing::when_run);
  CHECK_THROWS_WITH(forward(context), Catch::Contains("cudnnBackendExecute"));
}

TEST_CASE("a product's algorithm that fails is passed over while the device is well",
          "[cuda][plans][failures]") {
  Searching searching;
  Searching::make_fastest(2);
  emulator::make_fail(2, emulator::Failing::when_run);
  cuda::Context context;
  auto* const memory = static_cast<float*>(context.allocate(5000 * sizeof(float)));
  context.fill(memory, 0, 5000 * sizeof(float));
  run(Gemm<float, float>{4, 5, 6, false, false, memory, memory + 100, memory + 200, false, nullptr}, context);
  context.free(memory);
  CHECK_THAT(context.libraries().book().text(), Catch::Contains("4 x 5 x 6 = 1 0"));
}

TEST_CASE("without memory to search in, the first algorithm is taken and not kept, and a note says so",
          "[cuda][plans]") {
  Searching searching;
  Searching::make_fastest(2);
  {
    emulator::set_device_bytes(22000);
    cuda::Context context;
    std::string note;
    CHECK(stderr_of(note, [&] { return forward(context); }) == "1");
    CHECK_THAT(note, Catch::Contains(kText) && Catch::Contains("out of device memory"));
  }
  emulator::set_device_bytes(size_t{256} << 20);
  cuda::Context context;
  CHECK(forward(context) == "2");
}

TEST_CASE("a plan that is missing during capture is an error that says so", "[cuda][plans]") {
  Searching searching;
  cuda::Context context;
  auto* const memory = static_cast<float*>(context.allocate(5000 * sizeof(float)));
  context.fill(memory, 0, 5000 * sizeof(float));
  REQUIRE(cudaStreamBeginCapture(context.stream(), cudaStreamCaptureModeThreadLocal) == cudaSuccess);
  CHECK_THROWS_WITH(run(ConvForward<float>{kShape, memory, memory + 1000, memory + 2000}, context),
                    Catch::Contains("a plan of a convolution") && Catch::Contains("during capture"));
  const Gemm<float, float> product{4, 4, 4, false, false, memory, memory + 100, memory + 200, false, nullptr};
  CHECK_THROWS_WITH(run(product, context), Catch::Contains("capture"));
  cudaGraph_t graph = nullptr;
  REQUIRE(cudaStreamEndCapture(context.stream(), &graph) == cudaSuccess);
  cudaGraphDestroy(graph);
  run(product, context);
  CHECK(forward(context) == "1");
  context.free(memory);
}

TEST_CASE("a resumed run takes the algorithms of its checkpoint and ends in the same bits", "[cuda][plans]") {
  Searching searching;
  const auto train = [](const fs::path& folder, int64_t until) {
    Model model(cuda_recipe(), {8, 8, 3});
    Trainer trainer(model, small_set(), nullptr, folder.string());
    const std::string latest = latest_checkpoint(folder.string());
    const std::string note = latest.empty() ? "" : trainer.resume(latest);
    TrainerEvents events;
    events.stop = [&] { return trainer.step() == until; };
    trainer.run(events);
    return note + state_of(model);
  };
  const auto forget = [&] { fs::remove_all(searching.cache.path); };
  Folder first, second, broken;
  Searching::make_fastest(1);
  const std::string ones = train(first.path, 20);
  forget();
  Searching::make_fastest(2);
  const std::string twos = train(second.path, 20);
  CHECK(ones != twos);  // else the next line would show nothing
  train(broken.path, 7);
  forget();
  Searching::make_fastest(1);
  CHECK(train(broken.path, 20) == twos);
}

TEST_CASE("a step captured before a resume does not go on with the algorithms of then", "[cuda][plans]") {
  Searching searching;
  const auto run_until = [](Trainer& trainer, int64_t until) {
    TrainerEvents events;
    events.stop = [&] { return trainer.step() == until; };
    trainer.run(events);
  };
  Folder folder;
  Searching::make_fastest(2);
  {
    Model model(cuda_recipe(), {8, 8, 3});
    Trainer trainer(model, small_set(), nullptr, folder.path.string());
    run_until(trainer, 7);
  }
  const std::string checkpoint = latest_checkpoint(folder.path.string());
  const auto finish = [&](int64_t steps_before) {
    fs::remove_all(searching.cache.path);
    Searching::make_fastest(1);
    Model model(cuda_recipe(), {8, 8, 3});
    Trainer trainer(model, small_set(), nullptr, "");
    for (int64_t i = 0; i < steps_before; ++i) trainer.train_step();
    CHECK((trainer.replays() > 0) == (steps_before > 2));
    trainer.resume(checkpoint);
    const int64_t replays = trainer.replays();
    run_until(trainer, 20);
    CHECK(trainer.replays() > replays);
    return state_of(model);
  };
  CHECK((finish(5) == finish(0)));
}

TEST_CASE("whichever call of a search fails, the run ends with a message", "[cuda][plans][failures]") {
  Searching searching;
  std::string message;
  const auto run_into = [&] {
    fs::remove_all(searching.cache.path);
    try {
      cuda::Context context;
      forward(context);
      return Exit::ok;
    } catch (const Error& error) {
      message = error.what();
      return error.code();
    }
  };
  REQUIRE(run_into() == Exit::ok);
  const int64_t calls = emulator::calls();
  bool timed = false;
  for (int64_t n = 0; n < calls; ++n) {
    emulator::reset_device();
    emulator::fail_call(n);
    const Exit code = run_into();
    const std::string& name = emulator::failed_call();
    INFO("call " << n << ", " << name << ": " << message);
    timed = timed || name == "cudaEventElapsedTime";
    const bool tidying = name.find("Destroy") != std::string::npos || name == "cudaFree";
    if (name == "cudaMalloc") CHECK((code == Exit::memory || code == Exit::ok));  // ok: not searched
    else if (tidying) CHECK((code == Exit::ok || code == Exit::device));
    else CHECK(code == Exit::device);
    if (!tidying) CHECK(emulator::calls_after_fault() <= emulator::may_ask(name));
  }
  CHECK(timed);
}
