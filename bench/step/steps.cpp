#include "bench/step/steps.h"

#include "bench/step/process.h"
#include "bench/step/timeline.h"

namespace stopgrad::bench {

namespace {
/// What the two pools asked of the system.
int64_t requests(const Model& model) {
  return model.step_memory().stats().system_requests + model.permanent().stats().system_requests;
}
}  // namespace

StepsTaken take_steps(Model& model, Trainer& trainer, int warm_up, int count, int block) {
  StepsTaken out;
  int64_t after_two = 0, handed_out = 0;
  int steps = 0;
  double seconds = 0, views = 0;  // of the block that runs
  TrainerEvents events;
  events.step = [&](const StepReport& r) {
    ++steps;
    if (steps == 2) {
      after_two = requests(model);
      handed_out = model.step_memory().stats().allocations;
    }
    if (steps == 10) out.cold_start = process_age();
    if (steps <= warm_up) return;
    seconds += r.seconds;
    views += r.view_seconds;
    if ((steps - warm_up) % block != 0) return;
    out.seconds.push_back(seconds / block);
    if (model.device().is_cpu()) out.without_views.push_back((seconds - views) / block);
    seconds = views = 0;
  };
  events.stop = [&] { return steps >= warm_up + count * block; };
  trainer.run(events);
  out.seconds.resize(static_cast<size_t>(count));  // one more may have been under way
  out.replays = trainer.replays();
  if (steps <= 2) return out;
  out.requests_after_two = requests(model) - after_two;
  out.blocks_per_step = (model.step_memory().stats().allocations - handed_out) / (steps - 2);
  return out;
}

std::vector<double> make_views(Model& model, const Dataset& set, int count) {
  TrainingStep step(model, set);
  std::vector<int64_t> index(static_cast<size_t>(model.recipe().batch));
  Timeline timeline(model.device(), 2);
  std::vector<double> out;
  for (int round = -1; round < count; ++round) {
    for (size_t i = 0; i < index.size(); ++i)
      index[i] = (static_cast<int64_t>(i) * 7919 + round + 1) % set.count;
    timeline.mark();
    step.make_views(static_cast<uint32_t>(round + 1), index);
    timeline.mark();
    const double seconds = timeline.resolve()[1];
    if (round >= 0) out.push_back(seconds);
  }
  return out;
}

}  // namespace stopgrad::bench
