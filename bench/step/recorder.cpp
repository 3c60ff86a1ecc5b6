#include "bench/step/recorder.h"

#include <algorithm>
#include <numeric>

#include "bench/step/steps.h"

namespace stopgrad::bench {

namespace {
constexpr size_t kMarks = 8192;
constexpr double kStepLaunch = 0.02;  // seconds that the host takes at most
}  // namespace

StepRecorder::StepRecorder(Model& model, Trainer& trainer)
    : model_(model), trainer_(trainer), optimizer_(make_optimizer(model)), timeline_(model.device(), kMarks) {
  points_.reserve(kMarks);
  optimizer_->set_rates(0, 0);
}

void StepRecorder::point(Point p) {
  timeline_.mark();
  points_.push_back(p);
}

void StepRecorder::mark(Mark mark, int index) {
  if (mark == Mark::recorded) {
    const TapeEntry& entry = tape_->entries()[static_cast<size_t>(index)];
    if (entry.parameter) return;  // a leaf: nothing was launched
    if (index == 0) {             // the views of the step, which are made now
      timeline_.head_start(kStepLaunch);
      return point({Point::forward_begin, mark, index});
    }
  }
  point({Point::node, mark, index});
}

StepTimes StepRecorder::run(int64_t step, double views) {
  points_.clear();
  StepTimes out;
  out.views = {0, views};
  {
    Tape tape;
    tape_ = &tape;
    tape.set_observer(this);
    const MethodOutput method = trainer_.forward(tape, step);
    model_.slab().clear_gradients();
    tape.backward(method.loss);
    out.entries = tape.entries();
  }
  point({Point::update_begin, {}, 0});
  optimizer_->update();
  point({Point::update_end, {}, 0});
  std::vector<double> at = timeline_.resolve();
  for (double& seconds : at) seconds += views;
  out.forward.resize(out.entries.size());
  out.backward.resize(out.entries.size());
  for (size_t i = 1; i < points_.size(); ++i) {
    const auto k = static_cast<size_t>(points_[i].index);
    if (points_[i].kind == Point::update_end) out.update = {at[i - 1], at[i]};
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

StepBreakdown break_down(Model& model, Trainer& trainer, const Dataset& set, int steps) {
  StepBreakdown out;
  out.views = median(make_views(model, set, steps));
  StepRecorder recorder(model, trainer);
  std::vector<StepTimes> all;
  recorder.run(0, out.views);  // warm
  for (int i = 0; i < steps; ++i) all.push_back(recorder.run(i, out.views));
  const auto median_of = [&](auto&& get) {
    std::vector<double> values;
    for (const StepTimes& s : all) values.push_back(get(s).seconds());
    return median(values);
  };
  out.update = median_of([](const StepTimes& s) { return s.update; });
  for (size_t i = 0; i < all[0].entries.size(); ++i) {
    out.forward.push_back(median_of([i](const StepTimes& s) { return s.forward[i]; }));
    out.backward.push_back(median_of([i](const StepTimes& s) { return s.backward[i]; }));
  }
  out.last = std::move(all.back());
  return out;
}

}  // namespace stopgrad::bench
