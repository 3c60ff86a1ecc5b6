#pragma once
// The folder of a run: recipe.toml, metrics.jsonl and checkpoint-<step>.safetensors.
#include <string>

#include "models/recipe.h"

namespace stopgrad {

class RunFolder {
 public:
  /// Makes the folder. An empty path: there is none, and nothing is kept.
  explicit RunFolder(std::string path);

  bool exists() const { return !path_.empty(); }
  void write_recipe(const Recipe& recipe) const;

  std::string checkpoint_path(int64_t step) const;
  /// Removes all but the newest `keep` checkpoints.
  void prune(int64_t keep) const;

  /// A line at the end of metrics.jsonl.
  void add_line(const std::string& json);
  /// Bytes of metrics.jsonl that belong to the steps done.
  uint64_t metrics_bytes() const { return metrics_bytes_; }
  /// The run goes on where its record had so many bytes: what follows them is of steps that were lost.
  void cut_metrics(uint64_t bytes);

 private:
  std::string metrics_path() const { return path_ + "/metrics.jsonl"; }

  std::string path_;
  uint64_t metrics_bytes_ = 0;
};

/// The newest checkpoint of a run's folder that can be read; empty if there is none.
std::string latest_checkpoint(const std::string& folder);

}  // namespace stopgrad
