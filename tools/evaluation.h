#pragma once
// What eval and the demo share.
#include <string>

#include "data/dataset.h"
#include "models/features.h"

namespace stopgrad::tools {

struct DataPair {
  Dataset train, test;
};

/// One split of the recipe's data set, or of `spec` if it is not empty. `quiet`: without progress.
Dataset open_split(const Recipe& recipe, Split split, const std::string& spec = {}, int64_t limit = 0,
                   bool quiet = false);

/// The recipe's data sets, or those of `spec` if it is not empty; the first `limit` training images (0: all).
/// Without labels: Error(Exit::data).
DataPair open_pair(const Recipe& recipe, const std::string& spec = {}, int64_t limit = 0, bool quiet = false);

int class_count(const Dataset& set);

/// A fingerprint of the backbone's values and running statistics: evaluation must not change it.
uint64_t backbone_hash(Model& model);

/// kNN in percent of the raw pixels, and of the same net at its start values (with batch statistics gathered
/// over thirty batches, as training would have).
double knn_of_pixels(Model& model, const DataPair& data, EvalView view);
double knn_of_untrained(Model& model, const DataPair& data, EvalView view);

}  // namespace stopgrad::tools
