// A run whose images do not fit on the device: only an emulated device is that small.
#include <catch2/catch.hpp>

#include <algorithm>

#include "models/image_feed.h"
#include "tests/emulator/device_memory.h"
#include "tests/emulator/runtime_calls.h"
#include "tests/small_run.h"

using namespace stopgrad;
using namespace stopgrad::test;

namespace {

struct Ending {
  std::string state, metrics;
  int64_t replays;
};

Ending run_with_room(bool room, bool graph) {
  Folder folder;
  Recipe recipe = small_recipe();
  recipe.device = "cuda";
  recipe.batch = 8;
  recipe.graph = graph;
  Model model(recipe, {8, 8, 3});
  { const Tensor views_of_the_trainer(model.step_memory(), {1 << 14}, DType::f32); }
  const size_t whole = emulator::device_bytes();
  if (!room) emulator::set_device_bytes(emulator::device_bytes_in_use() + small_set().images.size());
  Trainer trainer(model, small_set(), nullptr, folder.path.string());
  emulator::set_device_bytes(whole);
  CHECK(trainer.run({}) == RunEnd::finished);
  return {state_of(model), metrics_of(folder.path), trainer.replays()};
}

}  // namespace

TEST_CASE("with images that are copied ahead, two graphs take turns and the bits stay", "[cuda][graph]") {
  const Ending resident = run_with_room(true, true), ahead = run_with_room(false, true),
               eager = run_with_room(false, false);
  CHECK(resident.replays == 16);
  CHECK(ahead.replays == 15);  // each graph has a run of its own before its capture
  CHECK(eager.replays == 0);
  CHECK(ahead.state == resident.state);
  CHECK(ahead.metrics == resident.metrics);
  CHECK(eager.state == resident.state);
  CHECK(eager.metrics == resident.metrics);
}

TEST_CASE("the first copy ahead waits for the work that was launched before on the pool's memory",
          "[cuda][graph]") {
  Recipe recipe = small_recipe();
  recipe.device = "cuda";
  Model model(recipe, {8, 8, 3});
  const std::vector<int64_t> index{0, 1, 2, 3};
  ImageFeed feed(model.step_memory(), small_set(), 4, 0);
  emulator::take_call_names();
  feed.announce(index);
  const auto calls = emulator::take_call_names();
  const auto first = [&](const std::string& name) { return std::ranges::find(calls, name) - calls.begin(); };
  CHECK(first("cudaEventSynchronize") < first("cudaMemcpyAsync"));
  CHECK(first("cudaMemcpyAsync") < std::ssize(calls));
}
