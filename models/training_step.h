#pragma once
// One step of training as work for the device: views, loss, gradients, update, meters. What changes from step
// to step is sent ahead, what was measured is fetched behind, and the host waits for neither.
#include <deque>
#include <memory>
#include <optional>
#include <span>

#include "engine/step_graph.h"
#include "models/image_feed.h"
#include "models/model.h"

namespace stopgrad {

/// What a step is told.
struct StepInputs {
  double progress = 0;  // share of the run before this step
  uint32_t epoch = 0;
  std::span<const int64_t> index;  // images of the batch
  double rate = 0, predictor_rate = 0;
};

/// What a step has measured.
struct StepMeters {
  double loss = 0, spread = 0;
  std::optional<double> rank;
  double view_seconds = 0;
};

class TrainingStep {
 public:
  TrainingStep(Model& model, const Dataset& set);
  ~TrainingStep();
  TrainingStep(const TrainingStep&) = delete;
  TrainingStep& operator=(const TrainingStep&) = delete;

  /// Starts a step, by a replay where it is one of many alike. `with_rank`: runs it eagerly and fetches z
  /// too, with the same bits in all else. At most kMostInFlight steps are in flight.
  void start(const StepInputs& inputs, bool with_rank);
  /// Waits for the oldest step in flight. Its rank, where wanted, is computed here, on the host: a device has
  /// the step after it to do meanwhile.
  StepMeters take();
  size_t in_flight() const { return launched_.size(); }
  static constexpr size_t kMostInFlight = 2;

  /// The images of the step after the one started last, where they are copied ahead.
  void announce(std::span<const int64_t> index) { feed_.announce(index); }
  bool wants_announcement() const { return !feed_.resident(); }
  /// The views of a batch, made now.
  const Tensor& make_views(uint32_t epoch, std::span<const int64_t> index);
  /// The next step is run, not replayed.
  void forget_graphs() {
    for (StepGraph& graph : graphs_) graph.forget();
  }
  int64_t replays() const { return graphs_[0].replays() + graphs_[1].replays(); }

 private:
  struct Launched {
    int place;  // of what is fetched
    bool with_rank;
    double view_seconds;
  };
  void work(Launched& launched);
  void draw_views();
  void measure(const MethodOutput& out);

  Model& model_;
  ImageSize size_;
  ImageFeed feed_;
  std::unique_ptr<Optimizer> optimizer_;
  Tensor views_;
  StepGraph graphs_[2];   // one per slot of the feed, whose address is an argument of the step
  Tensor meters_;         // [1 + views * d] doubles: the loss in the type of sums, deviations of each view
  int64_t channels_ = 0;  // d
  int64_t rows_ = 0;      // of a view's z
  std::unique_ptr<Staging> fetched_[kMostInFlight], fetched_z_[kMostInFlight];
  int place_ = 0;
  std::deque<Launched> launched_;
};

}  // namespace stopgrad
