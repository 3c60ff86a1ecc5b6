#include "bench/step/steps.h"

#include <numeric>

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
  using Clock = std::chrono::steady_clock;
  StepsTaken out;
  int64_t after_two = 0, handed_out = 0;
  int steps = 0;
  double views = 0;
  const auto step = [&] {
    views += trainer.train_step().view_seconds;
    ++steps;
    if (steps == 2) {
      after_two = requests(model);
      handed_out = model.step_memory().stats().allocations;
    }
    if (steps != 10) return;
    wait(model.device());
    out.cold_start = process_age();
  };
  for (int i = 0; i < warm_up; ++i) step();
  for (int i = 0; i < count; ++i) {
    wait(model.device());
    views = 0;
    const auto start = Clock::now();
    for (int k = 0; k < block; ++k) step();
    wait(model.device());
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    out.seconds.push_back(seconds / block);
    if (model.device().is_cpu()) out.without_views.push_back((seconds - views) / block);
  }
  if (steps <= 2) return out;
  out.requests_after_two = requests(model) - after_two;
  out.blocks_per_step = (model.step_memory().stats().allocations - handed_out) / (steps - 2);
  return out;
}

std::vector<double> make_views(Model& model, const Dataset& set, int count) {
  const Recipe& r = model.recipe();
  const ImageSize size = model.images();
  const int batch = static_cast<int>(r.batch);
  ImageFeed feed(model.permanent(), set, batch, model.compute().free_bytes() / 2);
  const Tensor views(model.step_memory(), {2, batch, size.height, size.width, size.channels},
                     model.activations());
  std::vector<int64_t> index(static_cast<size_t>(batch));
  Timeline timeline(model.device(), 2);
  std::vector<double> out;
  for (int round = -1; round < count; ++round) {
    for (size_t i = 0; i < index.size(); ++i)
      index[i] = (static_cast<int64_t>(i) * 7919 + round + 1) % set.count;
    visit_float(views.dtype(), [&](auto zero) {
      using T = decltype(zero);
      Augment<T> call{.views = 2,
                      .seed = static_cast<uint64_t>(r.seed),
                      .epoch = static_cast<uint32_t>(round + 1),
                      .recipe = r.views,
                      .out_height = size.height,
                      .out_width = size.width,
                      .stored_channels = size.channels,
                      .random = true,
                      .y = views.data<T>()};
      feed.aim(call, index);
      timeline.mark();
      launch(views.device(), call);
      timeline.mark();
    });
    const double seconds = timeline.resolve()[1];
    if (round >= 0) out.push_back(seconds);
  }
  return out;
}

}  // namespace stopgrad::bench
