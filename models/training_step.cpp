#include "models/training_step.h"

#include <chrono>
#include <cstring>

#include "kernels/profile.h"
#include "models/diagnostics.h"

namespace stopgrad {

namespace {
std::vector<int64_t*> counters_of(const ParameterSlab& slab) {
  std::vector<int64_t*> out;
  for (const auto& [name, counter] : slab.counters()) out.push_back(counter);
  return out;
}
}  // namespace

TrainingStep::TrainingStep(Model& model, const Dataset& set)
    : model_(model),
      size_{set.height, set.width, set.channels},
      feed_(model.permanent(), set, static_cast<int>(model.recipe().batch), model.compute().free_bytes() / 2),
      optimizer_(make_optimizer(model)),
      views_(
          model.step_memory(),
          {model.method().views(), model.recipe().batch, size_.height, size_.width, model.stored_channels()},
          model.activations()),
      graphs_{{model.step_memory(), counters_of(model.slab()), model.recipe().graph},
              {model.step_memory(), counters_of(model.slab()), model.recipe().graph}} {
  ENSURE(size_ == model.images(), "trainer: the set {} and the model differ in image size", set.name);
}

TrainingStep::~TrainingStep() = default;

void TrainingStep::start(const StepInputs& inputs, bool with_rank) {
  ENSURE(in_flight() < kMostInFlight, "training step: {} are in flight; take one first", in_flight());
  if (model_.method().enter_epoch(inputs.epoch)) forget_graphs();
  feed_.bring(inputs.epoch, inputs.index);
  optimizer_->set_rates(inputs.rate, inputs.predictor_rate);
  Launched launched{.place = place_, .with_rank = with_rank, .view_seconds = 0};
  graphs_[feed_.slot()].run([&] { work(launched); }, with_rank);
  model_.method().after_step(inputs.progress);
  fetched_[place_]->fetch_from(meters_.raw());
  place_ = 1 - place_;
  launched_.push_back(launched);
}

/// What a graph captures: only what lies in the device's memory may change from one step to the next.
void TrainingStep::work(Launched& launched) {
  const auto begin = std::chrono::steady_clock::now();
  draw_views();
  if (views_.device().is_cpu())
    launched.view_seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  Tape tape;
  MethodOutput out;
  {
    const ProfileRange range("forward");
    out = model_.method().loss(tape, views_);
    measure(out);
  }
  {
    const ProfileRange range("backward");
    model_.slab().clear_gradients();
    tape.backward(out.loss);
  }
  const ProfileRange range("update");
  optimizer_->update();
  if (launched.with_rank) fetched_z_[launched.place]->fetch_from(out.z[0].raw());
}

const Tensor& TrainingStep::make_views(uint32_t epoch, std::span<const int64_t> index) {
  feed_.bring(epoch, index);
  draw_views();
  return views_;
}

void TrainingStep::draw_views() {
  const ProfileRange range("views");
  visit_float(views_.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const Recipe& r = model_.recipe();
    Augment<T> call{.views = model_.method().views(),
                    .first_view = 0,
                    .seed = static_cast<uint64_t>(r.seed),
                    .recipe = r.views,
                    .out_height = size_.height,
                    .out_width = size_.width,
                    .stored_channels = model_.stored_channels(),
                    .random = true,
                    .y = views_.data<T>()};
    feed_.aim(call);
    launch(views_.device(), call);
  });
}

void TrainingStep::measure(const MethodOutput& out) {
  if (!meters_.defined()) {  // in the first step, which says how wide z is
    channels_ = out.z[0].channels();
    rows_ = out.z[0].rows();
    meters_ = Tensor(model_.permanent(), {1 + channels_ * static_cast<int64_t>(out.z.size())}, DType::f64);
    meters_.fill_zero();
    for (auto& staging : fetched_) staging = std::make_unique<Staging>(meters_.device(), meters_.bytes());
    for (auto& staging : fetched_z_) staging = std::make_unique<Staging>(meters_.device(), out.z[0].bytes());
  }
  double* const meters = meters_.data<double>();
  const Tensor& loss = out.loss.value;
  copy_on_device(loss.device(), meters, loss.raw(), loss.bytes());
  for (size_t i = 0; i < out.z.size(); ++i)
    unit_row_deviations(out.z[i], meters + 1 + static_cast<int64_t>(i) * channels_);
}

StepMeters TrainingStep::take() {
  const Launched launched = launched_.front();
  const auto* const meters = static_cast<const double*>(fetched_[launched.place]->wait());
  launched_.pop_front();
  StepMeters out{.view_seconds = launched.view_seconds};
  if (launched.with_rank)
    out.rank = effective_rank(model_.activations(), fetched_z_[launched.place]->wait(), rows_, channels_);
  visit_float(model_.activations(), [&](auto zero) {
    Acc<decltype(zero)> loss;
    std::memcpy(&loss, meters, sizeof loss);
    out.loss = loss;
  });
  const int64_t views = (meters_.count() - 1) / channels_;
  for (int64_t i = 0; i < views; ++i)
    out.spread += spread_of_deviations({meters + 1 + i * channels_, static_cast<size_t>(channels_)}) /
                  static_cast<double>(views);
  return out;
}

}  // namespace stopgrad
