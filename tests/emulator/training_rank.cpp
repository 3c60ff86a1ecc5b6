// The rank meter's decomposition runs on the host: whether the device has to wait for it shows in the calls.
#include <catch2/catch.hpp>

#include <numeric>

#include "models/training_step.h"
#include "tests/emulator/runtime_calls.h"
#include "tests/small_run.h"

using namespace stopgrad;
using namespace stopgrad::test;

namespace {

/// Six steps with a rank in the last three, `in_flight` of them at most.
struct Steps {
  std::vector<double> ranks, losses;
  int64_t waits = 0;  // for the stream, while steps with a rank were started

  explicit Steps(size_t in_flight) {
    Recipe recipe = small_recipe();
    recipe.device = "cuda";
    Model model(recipe, {8, 8, 3});
    TrainingStep work(model, small_set());
    std::vector<int64_t> index(16);
    for (int64_t step = 0; step < 6; ++step) {
      std::iota(index.begin(), index.end(), 8 * step);
      emulator::take_call_names();
      work.start({.index = index, .rate = 0.1, .predictor_rate = 0.1}, step >= 3);
      const auto names = emulator::take_call_names();
      if (step >= 3) waits += std::count(names.begin(), names.end(), std::string("cudaStreamSynchronize"));
      while (work.in_flight() == in_flight) take(work);
    }
    while (work.in_flight() > 0) take(work);
  }
  void take(TrainingStep& work) {
    const StepMeters meters = work.take();
    losses.push_back(meters.loss);
    if (meters.rank) ranks.push_back(*meters.rank);
  }
};

}  // namespace

TEST_CASE("a step that measures the rank is started without waiting for the device", "[cuda][graph]") {
  const Steps one_by_one(1), ahead(TrainingStep::kMostInFlight);
  CHECK(ahead.waits == 0);
  CHECK(ahead.losses == one_by_one.losses);
  REQUIRE(ahead.ranks.size() == 3);
  CHECK(ahead.ranks == one_by_one.ranks);
  CHECK(ahead.ranks[0] != ahead.ranks[1]);  // else a mix-up would not show
}
