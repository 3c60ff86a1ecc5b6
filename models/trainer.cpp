#include "models/trainer.h"

#include <cmath>
#include <cstdlib>
#include <filesystem>

#include "engine/checkpoint.h"
#include "engine/file.h"
#include "engine/safetensors.h"
#include "models/features.h"

namespace stopgrad {

namespace fs = std::filesystem;

namespace {

constexpr const char* kVersion = "1";  // of the metadata
constexpr int kAlarmSteps = 10;        // low steps in a row before the alarm

int64_t steps_of(const Recipe& r, int64_t per_epoch) { return r.epochs > 0 ? r.epochs * per_epoch : r.steps; }

CosineSchedule schedule_of(const Recipe& r, int64_t total_steps, int64_t per_epoch) {
  const bool per_step = r.schedule == "step";
  const int64_t total = per_step ? total_steps : (total_steps + per_epoch - 1) / per_epoch;
  const double unit = per_step ? static_cast<double>(per_epoch) : 1;
  return {scaled_rate(r.base_rate, r.batch), total,
          static_cast<int64_t>(std::llround(r.warmup_epochs * unit))};
}

/// The recipe without what may change between the parts of a run.
std::string identity(Recipe r) {
  const Recipe plain;
  r.knn_every = plain.knn_every;
  r.knn_k = plain.knn_k;
  r.knn_bank = plain.knn_bank;
  r.checkpoint_every = plain.checkpoint_every;
  r.keep_checkpoints = plain.keep_checkpoints;
  r.knn_temperature = plain.knn_temperature;
  r.collapse_spread = plain.collapse_spread;
  r.fail_on_collapse = plain.fail_on_collapse;
  r.threads = plain.threads;
  r.device = plain.device;
  r.graph = plain.graph;
  return to_toml(r);
}

int64_t number(const Metadata& metadata, const std::string& path, const char* key) {
  const auto found = metadata.find(key);
  char* end = nullptr;
  const int64_t value = found == metadata.end() ? -1 : std::strtoll(found->second.c_str(), &end, 10);
  if (value < 0 || *end != 0)
    fail(Exit::checkpoint, "{}: no usable '{}' in its metadata; not a checkpoint of a run", path, key);
  return value;
}

int64_t step_of_name(const fs::path& path) {
  const std::string name = path.filename().string();
  constexpr std::string_view before = "checkpoint-", after = ".safetensors";
  if (!name.starts_with(before) || !name.ends_with(after)) return -1;
  const std::string digits = name.substr(before.size(), name.size() - before.size() - after.size());
  if (digits.empty() || digits.size() > 12 || digits.find_first_not_of("0123456789") != std::string::npos)
    return -1;
  return std::stoll(digits);
}

/// Checkpoints of a directory, newest first.
std::vector<fs::path> checkpoints_of(const std::string& directory) {
  std::vector<fs::path> out;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(directory, ignored))
    if (step_of_name(entry.path()) >= 0) out.push_back(entry.path());
  std::sort(out.begin(), out.end(),
            [](const fs::path& a, const fs::path& b) { return step_of_name(a) > step_of_name(b); });
  return out;
}

}  // namespace

Trainer::Trainer(Model& model, const Dataset& train, const Dataset* test, std::string directory)
    : model_(model),
      train_(train),
      test_(test),
      directory_(std::move(directory)),
      loader_(train.count, static_cast<int>(model.recipe().batch),
              static_cast<uint64_t>(model.recipe().seed)),
      work_(model, train) {
  const Recipe& r = model.recipe();
  total_steps_ = steps_of(r, loader_.batches());
  schedule_ = schedule_of(r, total_steps_, loader_.batches());
  index_.resize(static_cast<size_t>(r.batch));
  if (directory_.empty()) return;
  std::error_code error;
  fs::create_directories(directory_, error);
  if (error) fail(Exit::write, "cannot make the folder {}: {}", directory_, error.message());
}

std::span<const int64_t> Trainer::batch_of(int64_t step) {
  loader_.indices(static_cast<uint32_t>(epoch_of(step)), step % loader_.batches(), index_);
  return index_;
}

/// For the step to come: the decaying rate, and the predictor's.
std::pair<double, double> Trainer::rates() const {
  const bool per_step = model_.recipe().schedule == "step";
  const double rate = schedule_.at(per_step ? step_ : epoch_of(step_));
  return {rate, schedule_.base};
}

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
  const StepInputs inputs{step_, static_cast<uint32_t>(step.report.epoch), batch_of(step_), step.report.rate,
                          step.report.predictor_rate};
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
    write_metrics(r);
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
  if (!directory_.empty()) write_file(directory_ + "/recipe.toml", to_toml(r));
  const size_t behind = model_.device().is_cpu() ? 0 : 1;  // so that a GPU has work meanwhile
  while (step_ < total_steps_) {
    launch_step();
    const bool last = step_ == total_steps_, epoch_end = step_ % loader_.batches() == 0;
    const int64_t epochs_done = epoch_of(step_);
    auto due = [&](int64_t every) { return last || (every > 0 && epoch_end && epochs_done % every == 0); };
    const bool pause = due(r.knn_every) || due(r.checkpoint_every);
    report(pause ? 0 : behind, events);
    if (alarmed_ && r.fail_on_collapse) {
      report(0, events);
      save(events);
      return RunEnd::collapsed;
    }
    if (due(r.knn_every)) evaluate(events);
    const bool stop = !last && events.stop && events.stop();
    if (stop) report(0, events);
    if (stop || due(r.checkpoint_every)) save(events);
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

void Trainer::evaluate(const TrainerEvents& events) {
  if (!test_ || train_.labels.empty() || test_->labels.empty()) return;
  const Recipe& r = model_.recipe();
  const bool last = step_ == total_steps_;
  const Dataset bank = first_images(train_, last ? 0 : r.knn_bank);
  const Tensor b = extract_features(model_, bank, EvalView::clean);
  const Tensor q = extract_features(model_, *test_, EvalView::clean);
  const KnnReport report{step_ - 1, (step_ - 1) / loader_.batches(), knn_of_features(r, b, bank, q, *test_)};
  write_line(fmt::format(R"({{"step":{},"epoch":{},"knn":{}}})", report.step, report.epoch, report.accuracy));
  if (events.knn) events.knn(report);
}

void Trainer::write_metrics(const StepReport& s) {
  write_line(fmt::format(
      R"({{"step":{},"epoch":{},"loss":{},"spread":{},{}"rate":{},"predictor_rate":{},"seconds":{:.6f}}})",
      s.step, s.epoch, s.loss, s.spread, s.rank ? fmt::format(R"("rank":{},)", *s.rank) : "", s.rate,
      s.predictor_rate, s.seconds));
}

void Trainer::write_line(const std::string& json) {
  if (directory_.empty()) return;
  const std::string path = directory_ + "/metrics.jsonl";
  std::FILE* file = std::fopen(path.c_str(), metrics_bytes_ == 0 ? "w" : "a");
  const bool good = file && std::fputs((json + "\n").c_str(), file) >= 0;
  if ((file && std::fclose(file) != 0) || !good)
    fail(Exit::write, "cannot write {}: {}", path, std::strerror(errno));
  metrics_bytes_ += json.size() + 1;
}

void Trainer::save(const TrainerEvents& events) {
  if (directory_.empty()) return;
  const std::string name = fmt::format("checkpoint-{:06}.safetensors", step_);
  Metadata metadata = {
      {"format", "pt"},
      {"stopgrad.version", kVersion},
      {"stopgrad.recipe", to_toml(model_.recipe())},
      {"stopgrad.step", std::to_string(step_)},
      {"stopgrad.images", std::to_string(train_.count)},
      {"stopgrad.image_size", fmt::format("{}x{}x{}", train_.height, train_.width, train_.channels)},
      {"stopgrad.threads", std::to_string(model_.compute().threads())},
      {"stopgrad.device", model_.compute().name()},
      {"stopgrad.metrics_bytes", std::to_string(metrics_bytes_)}};
  if (const std::string plans = model_.compute().library_plans(); !plans.empty())
    metadata["stopgrad.library_plans"] = plans;
  try {
    save_checkpoint(directory_ + "/" + name, model_.slab(), metadata);
    write_file(directory_ + "/latest", name + "\n");
  } catch (const Error& e) {
    // A full disk must not end a long run: the next interval tries again. At the end there is none.
    if (step_ == total_steps_ || !events.alarm) throw;
    events.alarm(fmt::format("checkpoint not written, training goes on: {}", e.what()));
    return;
  }
  prune_checkpoints();
  if (events.checkpoint) events.checkpoint(directory_ + "/" + name);
}

void Trainer::prune_checkpoints() const {
  const std::vector<fs::path> all = checkpoints_of(directory_);
  std::error_code ignored;
  for (size_t i = static_cast<size_t>(model_.recipe().keep_checkpoints); i < all.size(); ++i)
    fs::remove(all[i], ignored);
}

namespace {
/// What of a checkpoint's circumstances is not as it is now; nothing if all is.
std::string difference(const Metadata& then, const Compute& compute) {
  const auto device = then.find("stopgrad.device"), plans = then.find("stopgrad.library_plans");
  std::string out = plans == then.end() ? "" : compute.pin_library_plans(plans->second);
  if (device != then.end() && device->second != compute.name())
    out = fmt::format("device {} then, {} now", device->second, compute.name());
  return out.empty() ? out : "bits may differ from a run without a break: " + out;
}
}  // namespace

std::string Trainer::resume(const std::string& path) {
  const SafetensorsHeader header = read_header(path);
  if (identity(recipe_of(path)) != identity(model_.recipe()))
    fail(Exit::checkpoint, "{} was made by another recipe; resume with the recipe.toml beside it", path);
  const int64_t images = number(header.metadata, path, "stopgrad.images");
  if (images != train_.count)
    fail(Exit::checkpoint, "{} was made with {} training images, {} has {}", path, images, train_.name,
         train_.count);
  const int64_t step = number(header.metadata, path, "stopgrad.step");
  const int64_t metrics = number(header.metadata, path, "stopgrad.metrics_bytes");
  if (step > total_steps_) fail(Exit::checkpoint, "{} is at step {} of {}", path, step, total_steps_);
  for (; !launched_.empty(); launched_.pop_front()) work_.take();  // of a run that an error has ended
  load_checkpoint(path, model_.slab(), true);
  step_ = step;
  metrics_bytes_ = static_cast<uint64_t>(metrics);
  const std::string note = difference(header.metadata, model_.compute());
  work_.forget_graphs();  // which hold the plans of before
  if (directory_.empty()) return note;
  const std::string file = directory_ + "/metrics.jsonl";
  std::error_code error;
  const auto present = fs::file_size(file, error);
  if (error) metrics_bytes_ = 0;  // another folder: its own record starts here
  else if (present > metrics_bytes_) fs::resize_file(file, metrics_bytes_, error);  // of steps that were lost
  else metrics_bytes_ = present;
  return note;
}

std::string latest_checkpoint(const std::string& directory) {
  for (const fs::path& path : checkpoints_of(directory)) {
    try {
      read_header(path.string());
      return path.string();
    } catch (const Error&) {  // torn or foreign: the one before it
    }
  }
  return {};
}

}  // namespace stopgrad
