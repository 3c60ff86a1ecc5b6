#pragma once
// A recipe made real for images of one size: context, memory, method, parameters.
#include <memory>

#include "engine/optimizer.h"
#include "models/compute.h"
#include "models/recipe.h"

namespace stopgrad {

struct ImageSize {
  int height = 0, width = 0, channels = 0;
  bool operator==(const ImageSize&) const = default;
};

class Model {
 public:
  /// Parameters start at the values of the recipe's seed.
  Model(const Recipe& recipe, ImageSize images);
  Model(const Model&) = delete;

  /// As given, with the precision that "auto" became.
  const Recipe& recipe() const { return recipe_; }
  ImageSize images() const { return images_; }
  /// Channels that views are stored with, those past the images' zero: 8 where tensor cores take the stem,
  /// CUDA in bf16.
  int stored_channels() const;
  DType activations() const { return slab_->activations(); }
  Device device() const { return compute_.device(); }
  const Compute& compute() const { return compute_; }
  /// Permanent memory (parameters, features), and memory for steps: results of operations live where their
  /// input does, so views are put there too.
  Pool permanent() const { return permanent_; }
  Pool step_memory() const { return step_; }
  Method& method() { return *method_; }
  ParameterSlab& slab() { return *slab_; }

 private:
  Recipe recipe_;
  ImageSize images_;
  Compute compute_;
  Pool permanent_, step_;
  std::unique_ptr<Method> method_;
  std::unique_ptr<ParameterSlab> slab_;
};

/// The optimizer that the recipe asks for.
std::unique_ptr<Optimizer> make_optimizer(Model& model);

/// Of the metadata that a run writes into its checkpoints; another one is refused.
inline constexpr const char* kCheckpointVersion = "1";

/// The recipe in a checkpoint of a run. Throws Error(Exit::checkpoint).
Recipe recipe_of(const std::string& checkpoint);

/// The model of a checkpoint that a run wrote, with its recipe and weights, ready for evaluation: computed in
/// float32 also after a run in bf16, as whoever reads the exported weights does. Throws
/// Error(Exit::checkpoint), also for weights that are not finite.
std::unique_ptr<Model> load_model(const std::string& path, int64_t threads = 0,
                                  const std::string& device = "cpu");

}  // namespace stopgrad
