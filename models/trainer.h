#pragma once
// The loop: views -> loss -> backward -> update -> record -> checkpoint. It contains no mathematics.
#include <functional>
#include <optional>
#include <string>

#include "data/dataset.h"
#include "data/loader.h"
#include "engine/optimizer.h"
#include "models/image_feed.h"
#include "models/model.h"

namespace stopgrad {

/// What one step showed.
struct StepReport {
  int64_t step = 0, total_steps = 0, epoch = 0;  // of the step just done, counted from 0
  double loss = 0, spread = 0;
  std::optional<double> rank;  // measured now and then
  double rate = 0, predictor_rate = 0;
  double seconds = 0;       // of this step
  double view_seconds = 0;  // of these, for making the views
};

/// What one evaluation showed, in percent.
struct KnnReport {
  int64_t step = 0, epoch = 0;
  double accuracy = 0;
};

/// How a run ended.
enum class RunEnd { finished, stopped, collapsed };

/// What the outside world sees; every member may be empty.
struct TrainerEvents {
  std::function<void(const StepReport&)> step;
  std::function<void(const KnnReport&)> knn;
  std::function<void(const std::string&)> alarm;       // collapse, named
  std::function<void(const std::string&)> checkpoint;  // path of a file just written
  std::function<bool()> stop;                          // asked after every step
};

class Trainer {
 public:
  /// Files go to `directory`: metrics.jsonl, recipe.toml, checkpoint-<step>.safetensors and latest (a name);
  /// none if it is empty. `test` may be null: no kNN.
  Trainer(Model& model, const Dataset& train, const Dataset* test, std::string directory);

  /// Goes on where a checkpoint ended, bit for bit on the same device with as many threads; otherwise returns
  /// a sentence that says what differs. Throws Error(Exit::checkpoint).
  std::string resume(const std::string& path);
  /// Throws Error(Exit::diverged) when the loss is not finite; the last checkpoint stays.
  RunEnd run(const TrainerEvents& events);

  int64_t step() const { return step_; }
  int64_t total_steps() const { return total_steps_; }
  int64_t steps_per_epoch() const { return loader_.batches(); }
  /// One step without events or files (benchmarks, tests).
  /// A full device is Error(Exit::memory) with a table of what holds its memory.
  StepReport train_step();
  /// Forward of any step on a tape of the caller's (pictures, lessons, batch statistics); nothing is updated
  /// but running statistics.
  MethodOutput forward(Tape& tape, int64_t step);

 private:
  StepReport one_step();
  MethodOutput forward_of(Tape& tape);
  void announce_next();
  std::string memory_table() const;
  void make_views(int64_t epoch, int64_t batch);
  std::pair<double, double> rates() const;
  void write_metrics(const StepReport& report);
  void write_line(const std::string& json);
  void watch_for_collapse(const StepReport& report, const TrainerEvents& events);
  void evaluate(const TrainerEvents& events);
  void save(const TrainerEvents& events);
  void prune_checkpoints() const;

  Model& model_;
  const Dataset& train_;
  const Dataset* test_;
  std::string directory_;
  Loader loader_;
  Sgd sgd_;
  CosineSchedule schedule_;
  int64_t total_steps_ = 0, step_ = 0;
  std::vector<int64_t> index_;
  ImageFeed feed_;
  Tensor views_;
  uint64_t metrics_bytes_ = 0;  // of metrics.jsonl that belong to the steps done
  int low_steps_ = 0;           // consecutive steps below the alarm's spread
  bool alarmed_ = false;
};

/// The newest checkpoint of a run's directory that can be read; empty if there is none.
std::string latest_checkpoint(const std::string& directory);

}  // namespace stopgrad
