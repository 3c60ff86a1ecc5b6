#pragma once
// Progress of a training run on stderr: a bar that redraws on a terminal, plain lines elsewhere.
#include <chrono>
#include <functional>
#include <string>

#include "models/trainer.h"

namespace stopgrad::tools {

class Progress {
 public:
  /// `first_step`: where the run starts (resume); images: per step.
  Progress(int64_t first_step, int64_t images_per_step, bool quiet);

  void step(const StepReport& report);
  /// A line of its own, above the bar.
  void line(const std::string& text);
  void finish();

 private:
  using Clock = std::chrono::steady_clock;
  bool quiet_, terminal_, drawn_ = false;
  int64_t images_per_step_;
  Clock::time_point last_draw_;
  double rate_ = 0, rank_ = 0, seconds_per_step_ = 0;
  int64_t first_step_;
};

/// What work over many images may call with (done, total): "what: 512 of 4000", once it takes longer than a
/// moment.
std::function<void(int64_t, int64_t)> count_images(std::string what);

}  // namespace stopgrad::tools
