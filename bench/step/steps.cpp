#include "bench/step/steps.h"

#include "bench/step/process.h"
#include "bench/step/timeline.h"

namespace stopgrad::bench {

namespace {
constexpr double kViewsLaunch = 1e-3;  // seconds that the host takes for one launch at most

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

namespace {

/// The call with which a training step draws the views of the batch that `feed` has brought.
template <class T>
Augment<T> views_of(Model& model, const ImageFeed& feed, Tensor& views) {
  const Recipe& r = model.recipe();
  Augment<T> call{.views = model.method().views(),
                  .first_view = 0,
                  .seed = static_cast<uint64_t>(r.seed),
                  .recipe = r.views,
                  .out_height = model.images().height,
                  .out_width = model.images().width,
                  .stored_channels = model.stored_channels(),
                  .random = true,
                  .y = views.data<T>()};
  feed.aim(call);
  return call;
}

}  // namespace

std::vector<double> make_views(Model& model, const Dataset& set, int count) {
  const int batch = static_cast<int>(model.recipe().batch);
  ImageFeed feed(model.permanent(), set, batch, model.compute().free_bytes() / 2);
  Tensor views(model.step_memory(),
               {model.method().views(), batch, set.height, set.width, model.stored_channels()},
               model.activations());
  std::vector<int64_t> index(static_cast<size_t>(batch));
  Timeline timeline(model.device(), 2);
  std::vector<double> out;
  for (int round = -1; round < count; ++round) {
    for (size_t i = 0; i < index.size(); ++i)
      index[i] = (static_cast<int64_t>(i) * 7919 + round + 1) % set.count;
    feed.bring(static_cast<uint32_t>(round + 1), index);
    visit_float(views.dtype(), [&](auto zero) {
      const auto call = views_of<decltype(zero)>(model, feed, views);
      timeline.head_start(kViewsLaunch);
      timeline.mark();
      launch(model.device(), call);
      timeline.mark();
    });
    const double seconds = timeline.resolve()[1];
    if (round >= 0) out.push_back(seconds);
  }
  return out;
}

}  // namespace stopgrad::bench
