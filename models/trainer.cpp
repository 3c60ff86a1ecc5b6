#include "models/trainer.h"

#include <cmath>

#include "models/diagnostics.h"
#include "models/features.h"
#include "models/run_state.h"

namespace stopgrad {

namespace {

constexpr int kAlarmSteps = 10;  // low steps in a row before the alarm

int64_t steps_of(const Recipe& r, int64_t per_epoch) { return r.epochs > 0 ? r.epochs * per_epoch : r.steps; }

/// The warm-up climbs with every step, also where the cosine moves by epochs: these count whole.
CosineSchedule schedule_of(const Recipe& r, int64_t total_steps, int64_t per_epoch) {
  const int64_t hold = r.schedule == "step" ? 1 : per_epoch;
  return {.base = scaled_rate(r.base_rate, r.batch),
          .total = (total_steps + hold - 1) / hold * hold,
          .warmup = std::llround(r.warmup_epochs * static_cast<double>(per_epoch)),
          .hold = hold};
}

}  // namespace

Trainer::Trainer(Model& model, const Dataset& train, const Dataset* test, std::string directory)
    : model_(model),
      train_(train),
      test_(test),
      loader_(train.count, static_cast<int>(model.recipe().batch),
              static_cast<uint64_t>(model.recipe().seed)),
      work_(model, train),
      folder_(std::move(directory)) {
  const Recipe& r = model.recipe();
  total_steps_ = steps_of(r, loader_.batches());
  schedule_ = schedule_of(r, total_steps_, loader_.batches());
  index_.resize(static_cast<size_t>(r.batch));
}

std::span<const int64_t> Trainer::batch_of(int64_t step) {
  loader_.indices(static_cast<uint32_t>(epoch_of(step)), step % loader_.batches(), index_);
  return index_;
}

/// For the step to come: the decaying rate, and the predictor's.
std::pair<double, double> Trainer::rates() const { return {schedule_.at(step_), schedule_.base}; }

StepReport Trainer::train_step() {
  launch_step();
  return take_report();
}

std::string Trainer::memory_table() const {
  const auto mib = [](size_t bytes) { return static_cast<double>(bytes) / (1 << 20); };
  const ParameterSlab& slab = model_.slab();
  const size_t state = slab.values.bytes() + slab.gradients.bytes() + slab.momenta.bytes();
  const PoolStats step = model_.step_memory().stats(), kept = model_.permanent().stats();
  return fmt::format(
      "\n  parameters, gradients, momenta {:9.1f} MiB\n  images and the rest that stays {:9.1f} MiB\n"
      "  activations of a step, at most {:8.1f} MiB (grow with train.batch)",
      mib(state), mib(kept.live_bytes - std::min(state, kept.live_bytes)), mib(step.peak_bytes));
}

/// The rank costs an eigendecomposition: in every tenth step of a small net, every fiftieth of a large.
bool Trainer::wants_rank() const {
  const int64_t every = std::min(model_.recipe().batch, model_.recipe().projector.back()) <= 128 ? 10 : 50;
  return step_ % every == 0 || step_ + 1 == total_steps_;
}

void Trainer::launch_step() {
  Launched step{{.step = step_, .total_steps = total_steps_, .epoch = epoch_of(step_)}, Clock::now()};
  std::tie(step.report.rate, step.report.predictor_rate) = rates();
  const StepInputs inputs{.progress = static_cast<double>(step_) / static_cast<double>(total_steps_),
                          .epoch = static_cast<uint32_t>(step.report.epoch),
                          .index = batch_of(step_),
                          .rate = step.report.rate,
                          .predictor_rate = step.report.predictor_rate};
  try {
    work_.start(inputs, wants_rank());
  } catch (const Error& e) {
    if (e.code() != Exit::memory) throw;
    throw Error(Exit::memory, e.what() + memory_table());
  }
  launched_.push_back(step);
  ++step_;
  // The images of the step to come travel while the device is busy with this one.
  if (work_.wants_announcement() && step_ < total_steps_) work_.announce(batch_of(step_));
}

StepReport Trainer::take_report() {
  const StepMeters meters = work_.take();
  StepReport r = launched_.front().report;
  const auto start = std::max(launched_.front().start, reported_);
  launched_.pop_front();
  reported_ = Clock::now();
  r.seconds = std::chrono::duration<double>(reported_ - start).count();
  r.view_seconds = meters.view_seconds;
  r.loss = meters.loss;
  r.spread = meters.spread;
  r.rank = meters.rank;
  if (!std::isfinite(r.loss))
    fail(Exit::diverged,
         "the loss is {} at step {} (epoch {}, rate {:.4g}); the last checkpoint is intact. Try a smaller "
         "train.base_rate",
         r.loss, r.step, r.epoch, r.rate);
  return r;
}

/// Reports all but the last `in_flight` steps.
void Trainer::report(size_t in_flight, const TrainerEvents& events) {
  while (launched_.size() > in_flight) {
    const StepReport r = take_report();
    write_metrics(r, events);
    if (events.step) events.step(r);
    watch_for_collapse(r, events);
  }
}

MethodOutput Trainer::forward(Tape& tape, int64_t step) {
  const Tensor& views = work_.make_views(static_cast<uint32_t>(epoch_of(step)), batch_of(step));
  return model_.method().loss(tape, views);
}

RunEnd Trainer::run(const TrainerEvents& events) {
  const Recipe& r = model_.recipe();
  folder_.write_recipe(r);
  const size_t behind = model_.device().is_cpu() ? 0 : 1;  // so that a GPU has work meanwhile
  auto saved = Clock::now();
  while (step_ < total_steps_) {
    launch_step();
    const bool last = step_ == total_steps_, epoch_end = step_ % loader_.batches() == 0;
    const int64_t epochs_done = epoch_of(step_);
    auto due = [&](int64_t every) { return last || (every > 0 && epoch_end && epochs_done % every == 0); };
    const std::chrono::duration<double> unsaved = Clock::now() - saved;
    const bool save_now = last || (due(r.checkpoint_every) && unsaved.count() >= r.checkpoint_seconds);
    const bool pause = due(r.knn_every) || save_now;
    report(pause ? 0 : behind, events);
    if (alarmed_ && r.fail_on_collapse) {
      report(0, events);
      save(events, true);
      return RunEnd::collapsed;
    }
    if (due(r.knn_every)) try_to_evaluate(events);
    const bool stop = !last && events.stop && events.stop();
    if (stop) report(0, events);
    if (stop || save_now) {
      save(events, stop || last);
      saved = Clock::now();
    }
    if (stop) return RunEnd::stopped;
  }
  return RunEnd::finished;
}

void Trainer::watch_for_collapse(const StepReport& report, const TrainerEvents& events) {
  low_steps_ = report.spread < model_.recipe().collapse_spread ? low_steps_ + 1 : 0;
  const bool low_rank = report.rank && *report.rank < 2 && model_.recipe().batch >= 16;
  if (alarmed_ || (low_steps_ < kAlarmSteps && !low_rank)) return;
  alarmed_ = true;
  if (!events.alarm) return;
  events.alarm(fmt::format("collapse: {} at step {} (loss {:.4f}). {}",
                           low_rank ? fmt::format("effective rank {:.2f}", *report.rank)
                                    : fmt::format("spread {:.3f} for {} steps (1 is healthy, 0 is collapsed)",
                                                  report.spread, low_steps_),
                           report.step, report.loss,
                           model_.recipe().stop_gradient
                               ? "Look at the learning rate and at predictor.kind"
                               : "The wall is removed (method.stop_gradient = false)"));
}

/// Steps are worth more than a figure on them: without the memory for an evaluation the run goes on.
void Trainer::try_to_evaluate(const TrainerEvents& events) {
  std::string fault;
  try {
    return evaluate(events);
  } catch (const Error& e) {
    if (e.code() != Exit::memory || !events.alarm) throw;
    fault = e.what();
  } catch (const std::bad_alloc&) {
    if (!events.alarm) throw;
    fault = "out of memory";
  }
  events.alarm("kNN is not measured: " + fault);
}

void Trainer::evaluate(const TrainerEvents& events) {
  if (!test_ || train_.labels.empty() || test_->labels.empty()) return;
  const Recipe& r = model_.recipe();
  const bool last = step_ == total_steps_;
  Dataset part;
  const Dataset& bank = first_images(train_, last ? 0 : r.knn_bank, part);
  const Tensor b = extract_features(model_, bank, EvalView::clean);
  const Tensor q = extract_features(model_, *test_, EvalView::clean);
  const KnnReport report{step_ - 1, (step_ - 1) / loader_.batches(), knn_of_features(r, b, bank, q, *test_)};
  folder_.add_line(
      fmt::format(R"({{"step":{},"epoch":{},"knn":{}}})", report.step, report.epoch, report.accuracy),
      events.alarm);
  if (events.knn) events.knn(report);
}

void Trainer::write_metrics(const StepReport& s, const TrainerEvents& events) {
  folder_.add_line(
      fmt::format(
          R"({{"step":{},"epoch":{},"loss":{},"spread":{},{}"rate":{},"predictor_rate":{},"seconds":{:.6f}}})",
          s.step, s.epoch, s.loss, s.spread, s.rank ? fmt::format(R"("rank":{},)", *s.rank) : "", s.rate,
          s.predictor_rate, s.seconds),
      events.alarm);
}

/// `ends`: the run ends here, so there is no later attempt.
void Trainer::save(const TrainerEvents& events, bool ends) {
  // The loss has shown the parameters before the last update; what is saved is those after it.
  if (const int64_t odd = not_finite(model_.slab()); odd > 0)
    fail(Exit::diverged,
         "{} values of the network are not finite after step {}; nothing was saved, the last checkpoint is "
         "intact. Try a smaller train.base_rate",
         odd, step_ - 1);
  if (!folder_.exists()) return;
  const std::string path = folder_.checkpoint_path(step_);
  const RunState state{step_, folder_.metrics_bytes(), low_steps_, alarmed_};
  try {
    save_checkpoint(path, model_.slab(), to_metadata(state, model_, train_));
  } catch (const Error& e) {
    // A full disk must not end a long run: the next interval tries again.
    if (ends || e.code() != Exit::write || !events.alarm) throw;
    events.alarm(fmt::format("checkpoint not written, training goes on: {}", e.what()));
    return;
  }
  folder_.prune(step_, model_.recipe().keep_checkpoints);
  if (events.checkpoint) events.checkpoint(path);
  if (ends) folder_.finish_lines();
}

std::string Trainer::resume(const std::string& path) {
  const RunState state = state_of_run(path, model_, train_);
  if (state.step > total_steps_)
    fail(Exit::checkpoint, "{} is at step {} of {}", path, state.step, total_steps_);
  for (; !launched_.empty(); launched_.pop_front()) work_.take();  // of a run that an error has ended
  const Metadata then = load_checkpoint(path, model_.slab(), true);
  step_ = state.step;
  low_steps_ = state.low_steps;
  alarmed_ = state.alarmed;
  const std::string note = restore_circumstances(then, model_.compute());
  work_.forget_graphs();  // which hold the plans of before
  folder_.go_on(path, state.metrics_bytes);
  return note;
}

}  // namespace stopgrad
