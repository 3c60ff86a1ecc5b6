#pragma once
// What a checkpoint of a run says besides its weights: which run it is of, and where that stood.
#include "data/dataset.h"
#include "engine/checkpoint.h"
#include "models/model.h"

namespace stopgrad {

struct RunState {
  int64_t step = 0;            // steps done
  uint64_t metrics_bytes = 0;  // of metrics.jsonl, of these steps
  int64_t low_steps = 0;       // in a row, below the alarm's spread
  bool alarmed = false;
};

/// The metadata of a checkpoint.
Metadata to_metadata(const RunState& state, const Model& model, const Dataset& train);

/// Where the run of a checkpoint stood. Throws Error(Exit::checkpoint) if it was made by another recipe or
/// with another set, or is no checkpoint of a run.
RunState state_of_run(const std::string& path, const Model& model, const Dataset& train);

/// Makes the device take the algorithms of a checkpoint. Returns a sentence that says what of its
/// circumstances is not as it was then; nothing if all is.
std::string restore_circumstances(const Metadata& then, const Compute& compute);

}  // namespace stopgrad
