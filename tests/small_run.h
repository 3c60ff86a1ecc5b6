#pragma once
// A run that takes a fraction of a second, for the tests of the trainer on any device.
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "data/synthetic.h"
#include "models/trainer.h"

namespace stopgrad::test {

namespace fs = std::filesystem;

inline Recipe small_recipe() {
  return parse_recipe(R"(
    [augment]
    preset = "cifar"
    [net]
    widths = [4, 8]
    blocks = [1, 1]
    [projector]
    widths = [16, 16]
    [predictor]
    hidden = 4
    [train]
    batch = 16
    steps = 20
    base_rate = 1.0
    decay = 5e-4
    precision = "float32"
    [monitor]
    checkpoint_every = 0
    checkpoint_seconds = 0
  )",
                      "test");
}

/// With the keys of that method: MoCo's queue comes round three times in twenty steps.
inline Recipe small_recipe_of(const std::string& method) {
  Recipe recipe = small_recipe();
  recipe.method = method;
  recipe.queue = 6 * recipe.batch;
  recipe.prototypes = 64;
  if (method == "moco" || method == "simclr" || method == "swav") recipe.predictor = "none";
  recipe.stop_gradient = method != "simclr";
  return recipe;
}

inline const Dataset& small_set() {
  static const Dataset set = make_synthetic(64, 8, 3, 5, Split::train);
  return set;
}

struct Folder {
  fs::path path = fs::temp_directory_path() / fmt::format("stopgrad_test_{}_{}", getpid(), ++count());
  Folder() { fs::remove_all(path); }
  ~Folder() { fs::remove_all(path); }
  static int& count() {
    static int n = 0;
    return n;
  }
};

/// All values, momenta, buffers and counters of a model, as bytes.
inline std::string state_of(Model& model) {
  std::string out;
  auto add = [&](const Tensor& t) {
    const size_t at = out.size();
    out.resize(at + t.bytes());
    t.to_host(out.data() + at);
  };
  for (const Tensor& t : {model.slab().values, model.slab().momenta}) add(t);
  for (const Buffer* b : model.slab().buffers()) add(b->value);
  for (const auto& [name, n] : model.slab().counters()) out += name + std::to_string(*n);
  return out;
}

/// metrics.jsonl without the times.
inline std::string metrics_of(const fs::path& folder) {
  std::ifstream in(folder / "metrics.jsonl");
  std::string out;
  for (std::string line; std::getline(in, line);) out += line.substr(0, line.find(",\"seconds\"")) + "\n";
  return out;
}

}  // namespace stopgrad::test
