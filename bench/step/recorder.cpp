#include "bench/step/recorder.h"

#include <algorithm>
#include <numeric>

#include "bench/kernels/clock.h"

namespace stopgrad::bench {

namespace {
constexpr size_t kMarks = 8192;
constexpr double kViewsLaunch = 1e-3, kStepLaunch = 0.02;  // seconds that the host takes at most
}  // namespace

StepRecorder::StepRecorder(Model& model, Trainer& trainer)
    : model_(model),
      trainer_(trainer),
      sgd_(model.slab(), model.recipe().momentum, model.recipe().decay),
      timeline_(model.device(), kMarks) {
  points_.reserve(kMarks);
  sgd_.set_rates(0, 0);
}

void StepRecorder::point(Point p) {
  timeline_.mark();
  points_.push_back(p);
}

void StepRecorder::head_start([[maybe_unused]] double seconds) {
#if defined(STOPGRAD_CUDA)
  if (model_.device().cuda) head_start_cuda(*model_.device().cuda, seconds);
#endif
}

void StepRecorder::mark(Mark mark, int index) {
  if (mark == Mark::recorded) {
    const TapeEntry& entry = tape_->entries()[static_cast<size_t>(index)];
    if (entry.parameter) return;  // a leaf: nothing was launched
    if (index == 0) {             // the views of the step
      point({Point::views_end, mark, index});
      head_start(kStepLaunch);
      return point({Point::forward_begin, mark, index});
    }
  }
  point({Point::node, mark, index});
}

StepTimes StepRecorder::run(int64_t step) {
  points_.clear();
  StepTimes out;
  {
    Tape tape;
    tape_ = &tape;
    tape.set_observer(this);
    head_start(kViewsLaunch);
    point({Point::views_begin, {}, 0});
    const MethodOutput method = trainer_.forward(tape, step);
    model_.slab().clear_gradients();
    tape.backward(method.loss);
    out.entries = tape.entries();
  }
  point({Point::update_begin, {}, 0});
  sgd_.update();
  point({Point::update_end, {}, 0});
  const std::vector<double> at = timeline_.resolve();
  out.forward.resize(out.entries.size());
  out.backward.resize(out.entries.size());
  for (size_t i = 1; i < points_.size(); ++i) {
    const auto k = static_cast<size_t>(points_[i].index);
    if (points_[i].kind == Point::views_end) out.views = {at[i - 1], at[i]};
    else if (points_[i].kind == Point::update_end) out.update = {at[i - 1], at[i]};
    else if (points_[i].kind != Point::node) continue;
    else if (points_[i].mark == Mark::recorded) out.forward[k] = {at[i - 1], at[i]};
    else if (points_[i].mark == Mark::backward_ends) out.backward[k] = {at[i - 1], at[i]};
  }
  return out;
}

double median(std::vector<double> v) {
  const auto middle = v.begin() + static_cast<std::ptrdiff_t>(v.size() / 2);
  std::nth_element(v.begin(), middle, v.end());
  return *middle;
}

double StepBreakdown::seconds() const {
  return views + update + std::accumulate(forward.begin(), forward.end(), 0.0) +
         std::accumulate(backward.begin(), backward.end(), 0.0);
}

StepBreakdown break_down(Model& model, Trainer& trainer, int steps) {
  StepRecorder recorder(model, trainer);
  std::vector<StepTimes> all;
  recorder.run(0);  // warm
  for (int i = 0; i < steps; ++i) all.push_back(recorder.run(i));
  StepBreakdown out;
  const auto median_of = [&](auto&& get) {
    std::vector<double> values;
    for (const StepTimes& s : all) values.push_back(get(s).seconds());
    return median(values);
  };
  out.views = median_of([](const StepTimes& s) { return s.views; });
  out.update = median_of([](const StepTimes& s) { return s.update; });
  for (size_t i = 0; i < all[0].entries.size(); ++i) {
    out.forward.push_back(median_of([i](const StepTimes& s) { return s.forward[i]; }));
    out.backward.push_back(median_of([i](const StepTimes& s) { return s.backward[i]; }));
  }
  out.last = std::move(all.back());
  return out;
}

}  // namespace stopgrad::bench
