// What happens when the device fails, at every place where it can: only an emulated device fails on demand.
#include <catch2/catch.hpp>

#include <map>
#include <set>

#include "tests/emulator/device_memory.h"
#include "tests/emulator/fake_libraries.h"
#include "tests/emulator/runtime_calls.h"
#include "tests/small_run.h"

using namespace stopgrad;
using namespace stopgrad::test;

namespace {

Recipe cuda_recipe() {
  Recipe recipe = small_recipe();
  recipe.device = "cuda";
  recipe.batch = 4;
  recipe.steps = 5;  // the first two run, the third is captured, the fourth replayed, the last has a rank
  return recipe;
}

/// A healthy device, a whole library folder and enough memory again, whatever a test did.
struct Healthy {
  Healthy() { reset(); }
  ~Healthy() { reset(); }
  static void reset() {
    emulator::reset_device();
    emulator::hide_library(nullptr);
    emulator::set_device_bytes(size_t{256} << 20);
  }
};

/// A run of five steps with a checkpoint after the last; the exit code it ends with.
Exit run_into(const fs::path& folder, std::string& message, int64_t* calls_of_run = nullptr) {
  try {
    Model model(cuda_recipe(), {8, 8, 3});
    Trainer trainer(model, small_set(), nullptr, folder.string());
    trainer.run({});
    if (calls_of_run) *calls_of_run = emulator::calls();
    return Exit::ok;
  } catch (const Error& error) {
    message = error.what();
    return error.code();
  }
}

}  // namespace

TEST_CASE("whichever call of a step fails, the run ends with a message, and nothing is called after it",
          "[cuda][failures]") {
  Healthy healthy;
  Folder folder;
  std::string message;
  int64_t calls = 0;  // without those that tidy up
  REQUIRE(run_into(folder.path, message, &calls) == Exit::ok);
  const std::vector<const char*> names = emulator::take_call_names();
  const std::string checkpoint = latest_checkpoint(folder.path.string());
  std::ifstream in(checkpoint, std::ios::binary);
  const std::string saved((std::istreambuf_iterator<char>(in)), {});
  std::set<std::string> failed;
  // Every call of the set-up and of the first step but those that describe convolutions, then some of the
  // rest: later steps call what the first one did. Of what is not visited so, the first three.
  std::map<std::string, int> seen;
  const auto total = static_cast<int64_t>(names.size());
  for (int64_t n = 0; n < total; ++n) {
    const std::string call = names[static_cast<size_t>(n)];
    if ((n > calls / 4 || call.starts_with("cudnnBackend")) && n % 37 != 0 && ++seen[call] > 3) continue;
    emulator::reset_device();
    emulator::fail_call(n);
    INFO("call " << n << " of " << calls);
    Folder other;
    const Exit code = run_into(other.path, message);
    if (emulator::failed_call().empty()) break;  // the call came after the run's end
    const std::string& name = emulator::failed_call();
    INFO(name << ": " << message);
    failed.insert(name);
    const bool tidying = n >= calls || name.find("Destroy") != std::string::npos || name == "cudaFree";
    // What fails while memory is given back shows at the next call, if there is one.
    if (tidying) CHECK((code == Exit::ok || code == Exit::device));
    else CHECK(code == (name.starts_with("cudaMalloc") ? Exit::memory : Exit::device));
    if (!tidying) CHECK(emulator::calls_after_fault() <= emulator::may_ask(name));
  }
  for (const char* name :
       {"cudaMalloc", "cudaMallocHost", "cudaMemcpyAsync", "cudaMemsetAsync", "cudaLaunchKernel",
        "cudaStreamSynchronize", "cudaEventRecord", "cudaEventSynchronize", "cudaStreamBeginCapture",
        "cudaStreamEndCapture", "cudaGraphInstantiate", "cudaGraphLaunch", "cudnnBackendCreateDescriptor",
        "cudnnBackendSetAttribute", "cudnnBackendGetAttribute", "cudnnBackendFinalize", "cudnnBackendExecute",
        "cublasLtMatmul"}) {
    INFO(name);
    CHECK(failed.count(name) == 1);
  }
  std::ifstream again(checkpoint, std::ios::binary);
  CHECK(std::string((std::istreambuf_iterator<char>(again)), {}) == saved);
}

TEST_CASE("a missing library is named, with what to do", "[cuda][failures]") {
  Healthy healthy;
  std::string message;
  for (const auto& [name, file] : {std::pair{"cudnn", "libcudnn.so.9"}, {"cublaslt", "libcublasLt.so.13"}}) {
    emulator::reset_device();
    emulator::hide_library(name);
    Folder folder;
    CHECK(run_into(folder.path, message) == Exit::device);
    CHECK_THAT(message, Catch::Contains(file));
  }
}

TEST_CASE("a full device says what holds its memory", "[cuda][failures]") {
  Healthy healthy;
  std::string message;
  // From too little for the parameters to just too little for a step.
  for (const size_t bytes : {size_t{100} << 10, size_t{3} << 20, size_t{33} << 20}) {
    INFO(bytes << " bytes");
    emulator::reset_device();
    emulator::set_device_bytes(bytes);
    Folder folder;
    CHECK(run_into(folder.path, message) == Exit::memory);
    CHECK_THAT(message, Catch::Contains("MiB") && Catch::Contains("batch"));
    if (bytes > size_t{30} << 20) CHECK_THAT(message, Catch::Contains("parameters, gradients, momenta"));
  }
}
