#pragma once
// Runs training steps and keeps their times.
#include <optional>
#include <vector>

#include "bench/step/nets.h"
#include "models/trainer.h"

namespace stopgrad::bench {

struct StepsTaken {
  std::vector<double> seconds, without_views;  // per step; on CUDA the means of blocks of steps
  std::optional<double> cold_start;            // from the start of the process to the end of step 10
  int64_t requests_after_two = 0;              // of memory from the system, after the first two steps
  int64_t blocks_per_step = 0;                 // handed out by the pool
  int64_t replays = 0;                         // steps that were replays of a captured one
};

/// `warm_up` steps, then `count` times `block` steps, run as training runs them. On CUDA `without_views`
/// stays empty: views are part of the queue.
StepsTaken take_steps(Model& model, Trainer& trainer, int warm_up, int count, int block);

/// Seconds of the kernel that draws a batch's views, made alone, `count` times: what the host does for them,
/// and a copy of images that are not resident, lie before the first mark.
std::vector<double> make_views(Model& model, const Dataset& set, int count);

}  // namespace stopgrad::bench
