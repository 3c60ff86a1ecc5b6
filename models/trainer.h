#pragma once
// The loop: views -> loss -> backward -> update -> record -> checkpoint. It contains no mathematics.
#include <chrono>
#include <deque>
#include <functional>
#include <optional>
#include <string>

#include "data/dataset.h"
#include "data/loader.h"
#include "models/run_folder.h"
#include "models/training_step.h"

namespace stopgrad {

/// What one step showed.
struct StepReport {
  int64_t step = 0, total_steps = 0, epoch = 0;  // of the step just done, counted from 0
  double loss = 0, spread = 0;
  std::optional<double> rank;  // measured now and then
  double rate = 0, predictor_rate = 0;
  double seconds = 0;       // since the step before was done
  double view_seconds = 0;  // of these, for making the views; 0 on CUDA, where nobody waits for them
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
  std::function<void(const std::string&)> alarm;       // a sentence: a collapse, or a file not written
  std::function<void(const std::string&)> checkpoint;  // the path of a file just written
  std::function<bool()> stop;                          // asked after every step
};

class Trainer {
 public:
  /// Files go to `directory`; none if it is empty. `test` may be null: no kNN.
  Trainer(Model& model, const Dataset& train, const Dataset* test, std::string directory);

  /// Goes on where a checkpoint ended, bit for bit on the same device with any number of threads; otherwise
  /// returns a sentence that says what differs. Throws Error(Exit::checkpoint).
  std::string resume(const std::string& path);
  /// Throws Error(Exit::diverged) when the loss is not finite, or what would be saved: no checkpoint holds
  /// such values. On CUDA a step is reported while the next one is under way; a checkpoint is written when
  /// all steps before it are reported. A full disk is an alarm, and Error(Exit::write) where the run ends.
  RunEnd run(const TrainerEvents& events);

  int64_t step() const { return step_; }  // steps launched
  /// How many of them were replays of a captured step.
  int64_t replays() const { return work_.replays(); }
  int64_t total_steps() const { return total_steps_; }
  /// One step without events or files, waited for (benchmarks, tests).
  /// A full device is Error(Exit::memory) with a table of what holds its memory.
  StepReport train_step();
  /// Forward of any step on a tape of the caller's (pictures, lessons, batch statistics); nothing is updated
  /// but running statistics.
  MethodOutput forward(Tape& tape, int64_t step);

 private:
  using Clock = std::chrono::steady_clock;
  /// A step that is under way: its report so far.
  struct Launched {
    StepReport report;
    Clock::time_point start;
  };
  void launch_step();
  StepReport take_report();
  void report(size_t in_flight, const TrainerEvents& events);
  bool wants_rank() const;
  std::string memory_table() const;
  std::span<const int64_t> batch_of(int64_t step);
  int64_t epoch_of(int64_t step) const { return step / loader_.batches(); }
  std::pair<double, double> rates() const;
  void write_metrics(const StepReport& report, const TrainerEvents& events);
  void watch_for_collapse(const StepReport& report, const TrainerEvents& events);
  void try_to_evaluate(const TrainerEvents& events);
  void evaluate(const TrainerEvents& events);
  void save(const TrainerEvents& events, bool ends);

  Model& model_;
  const Dataset& train_;
  const Dataset* test_;
  Loader loader_;
  TrainingStep work_;
  RunFolder folder_;
  CosineSchedule schedule_;
  int64_t total_steps_ = 0, step_ = 0;
  std::vector<int64_t> index_;  // of a batch
  std::deque<Launched> launched_;
  Clock::time_point reported_{};  // the last time
  int64_t low_steps_ = 0;         // consecutive steps below the alarm's spread
  bool alarmed_ = false;
};

}  // namespace stopgrad
