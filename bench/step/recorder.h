#pragma once
// Times every node of one step, forward and backward, from the marks of its tape.
#include "bench/step/timeline.h"
#include "models/trainer.h"

namespace stopgrad::bench {

/// Seconds since the step began. Empty where nothing ran.
struct Span {
  double begin = 0, end = 0;
  double seconds() const { return end - begin; }
};

/// One eager step: where its time went.
struct StepTimes {
  Span views, update;                   // views are made before the rest, alone
  std::vector<Span> forward, backward;  // per entry of the tape
  std::vector<TapeEntry> entries;
};

/// An eager step of its own: loss, backward, update at rate 0. On CUDA the device gets copies once its views
/// are made, so that nodes follow each other without gaps.
class StepRecorder : public TapeObserver {
 public:
  StepRecorder(Model& model, Trainer& trainer);
  /// `views`: seconds that they take, for the begin of all else.
  StepTimes run(int64_t step, double views);
  void mark(Mark mark, int index) override;

 private:
  struct Point {
    enum Kind { forward_begin, update_begin, update_end, node } kind;
    Mark mark;
    int index;
  };
  void point(Point p);

  Model& model_;
  Trainer& trainer_;
  std::unique_ptr<Optimizer> optimizer_;
  Timeline timeline_;
  std::vector<Point> points_;
  Tape* tape_ = nullptr;
};

/// Medians of the durations over `steps` steps, with begin and end of the last one for pictures.
struct StepBreakdown {
  StepTimes last;
  double views = 0, update = 0;
  std::vector<double> forward, backward;
  /// Views, nodes and update together.
  double seconds() const;
};
StepBreakdown break_down(Model& model, Trainer& trainer, const Dataset& set, int steps);

double median(std::vector<double> values);

}  // namespace stopgrad::bench
