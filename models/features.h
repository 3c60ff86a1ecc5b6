#pragma once
// Frozen features of a data set, for kNN and linear evaluation.
#include <functional>

#include "data/dataset.h"
#include "models/model.h"

namespace stopgrad {

/// How images enter an evaluation. Clean: the test transform. Robust: each image is cropped, flipped and
/// jittered once, by the seed and its index alone, so that aligned data sets cannot be solved by comparing
/// pixels.
enum class EvalView { clean, robust };

/// Backbone features [count, feature_size()], float32, in evaluation mode.
Tensor extract_features(Model& model, const Dataset& set, EvalView view,
                        const std::function<void(int64_t done, int64_t total)>& progress = {});

/// The pixels themselves [count, height * width * channels], normalised: what features must beat.
Tensor pixel_features(Model& model, const Dataset& set, EvalView view);

/// kNN accuracies in percent with the recipe's k and temperature; bank from `train`, queries from `test`.
double knn_of_features(const Recipe& recipe, const Tensor& bank, const Dataset& train, const Tensor& queries,
                       const Dataset& test);

/// The first `count` images of a set, labels too: the set itself where that is all of it (also for 0), else a
/// copy of these in `room`.
const Dataset& first_images(const Dataset& set, int64_t count, Dataset& room);

}  // namespace stopgrad
