#pragma once
// Everything a run depends on, as one TOML file. What is printed is what runs: a recipe written into a
// checkpoint rebuilds the same run.
#include <string>
#include <variant>
#include <vector>

#include "data/augmenter.h"
#include "models/simsiam.h"
#include "models/swav.h"

namespace stopgrad {

/// A key that a recipe does not name keeps its value from here: those of the demo's recipe, except that the
/// demo freezes the output norm's scale and warms up for it (a test compares them).
struct Recipe {
  // [data]
  std::string data = "fashion_mnist";
  int64_t image_size = 0, limit = 0, max_bad = 10;
  // [augment]
  std::string augment = "grey";
  AugmentRecipe views = grey_recipe();
  // [net]
  std::string backbone = "small";
  std::string stem = "cifar";
  std::string conv_init = "fan_out";
  int64_t stem_stride = 2;
  std::vector<int64_t> widths = {16, 32, 64}, blocks = {1, 1, 1};
  bool zero_gamma = false;
  // [projector]
  std::vector<int64_t> projector = {256, 256, 256};
  bool projector_hidden_norm = true, projector_output_norm = true, projector_output_affine = true;
  double projector_output_scale = 0;
  // [predictor]
  std::string predictor = "learned";
  int64_t predictor_hidden = 64;
  bool predictor_hidden_norm = true, predictor_output_norm = false, predictor_fixed_rate = true;
  // [method]
  std::string method = "simsiam";
  double target_momentum = 0.996;
  int64_t queue = 4096, prototypes = 512, sinkhorn_iterations = 3, freeze_prototypes = 1;
  double temperature = 0.5, epsilon = 0.05;
  bool stop_gradient = true;
  std::string similarity = "cosine", symmetry = "symmetric", form = "auto";
  int64_t view_count = 2;
  // [train]
  int64_t batch = 128, epochs = 0, steps = 2000;
  double base_rate = 0.7, momentum = 0.9, decay = 5e-4, warmup_epochs = 0;
  std::string optimizer = "sgd";
  double trust = 0.001;
  std::string schedule = "step", precision = "auto", device = "auto";
  bool graph = true;
  int64_t seed = 0, threads = 0;
  // [monitor]
  int64_t knn_every = 0, knn_k = 200, knn_bank = 10000, checkpoint_every = 1, keep_checkpoints = 2;
  double checkpoint_seconds = 30, knn_temperature = 0.1, collapse_spread = 0.5;
  bool fail_on_collapse = false;
};

/// Where the value of a key lies in a recipe.
using RecipeValue =
    std::variant<std::string*, bool*, int64_t*, double*, float*, std::vector<int64_t>*, std::vector<float*>>;

/// One key of the recipe: its place in the file, its meaning, and its value.
struct RecipeKey {
  std::string name;  // "train.batch"
  std::string help;
  RecipeValue (*at)(Recipe&);
  std::vector<std::string> choices = {};  // of a text; empty: any

  /// The value as TOML text, and from it; another type or choice than the key's is Error(Exit::config).
  std::string get(const Recipe& recipe) const;
  void set(Recipe& recipe, const std::string& toml_value) const;
};

/// All keys, in the order of the file.
const std::vector<RecipeKey>& recipe_keys();

/// Reads TOML text; `origin` names it in errors, which carry line and column. Unknown keys are errors that
/// name the nearest known one. augment.preset is applied before the keys beside it.
Recipe parse_recipe(const std::string& toml, const std::string& origin);
Recipe read_recipe(const std::string& path);
/// "train.batch=64" on top of a recipe; "train.steps=20" also sets train.epochs to 0.
void set_key(Recipe& recipe, const std::string& assignment);
/// A string in TOML's quotes.
std::string toml_text(const std::string& s);
/// TOML with every key and its meaning; parse_recipe gives the same recipe back.
std::string to_toml(const Recipe& recipe);
/// Values that cannot work together or alone: throws Error(Exit::config) naming the key.
void check_recipe(const Recipe& recipe);

/// The method a recipe describes, for images of the given size.
SimSiamConfig simsiam_config(const Recipe& recipe, int height, int width, int channels);
SwavConfig swav_config(const Recipe& recipe);
DType activation_type(const Recipe& recipe);
/// True when projector.output_scale is set: z is then so small that rounding of bf16 or TF32 gradients would
/// move the output norm's shift (docs/decisions.md).
bool needs_float32(const Recipe& recipe);

}  // namespace stopgrad
