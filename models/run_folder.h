#pragma once
// The folder of a run: recipe.toml, metrics.jsonl and checkpoint-<step>.safetensors.
#include <functional>
#include <string>

#include "models/recipe.h"

namespace stopgrad {

class RunFolder {
 public:
  using Alarm = std::function<void(const std::string&)>;

  /// Makes the folder. An empty path: there is none, and nothing is kept.
  explicit RunFolder(std::string path);
  ~RunFolder();
  RunFolder(const RunFolder&) = delete;
  RunFolder& operator=(const RunFolder&) = delete;

  bool exists() const { return !path_.empty(); }
  /// The beginning of a run, as is go_on: Error(Exit::usage) while another one is under way in the folder.
  void write_recipe(const Recipe& recipe);

  std::string checkpoint_path(int64_t step) const;
  /// Removes all but the newest `keep` checkpoints up to `step`; those of later steps are not touched.
  void prune(int64_t step, int64_t keep) const;

  /// A line at the end of metrics.jsonl. A full disk does not end the run: what cannot be written waits for
  /// the next line, up to 1 MiB, and `alarm` is told once. Without an alarm it is Error(Exit::write).
  void add_line(const std::string& json, const Alarm& alarm);
  /// The last chance of lines that wait: Error(Exit::write) if it fails.
  void finish_lines();
  /// Bytes of metrics.jsonl that belong to the steps done.
  uint64_t metrics_bytes() const { return metrics_bytes_; }
  /// The run goes on from `checkpoint`, when its record had so many bytes: what follows them is of steps that
  /// were lost; if they cannot be cut off it is Error(Exit::write). From another folder's checkpoint a new
  /// record starts.
  void go_on(const std::string& checkpoint, uint64_t metrics_bytes);

 private:
  std::string metrics_path() const { return path_ + "/metrics.jsonl"; }
  std::string write_waiting();
  void keep_others_out();

  std::string path_;
  int lock_ = -1;        // the folder, open and locked
  std::string waiting_;  // lines that are not in metrics.jsonl yet
  bool told_ = false;    // the alarm, since the last line that could be written
  uint64_t metrics_bytes_ = 0;
};

/// The newest checkpoint of a run's folder that can be read; empty if there is none.
std::string latest_checkpoint(const std::string& folder);
/// The path itself, or, of a folder, its latest_checkpoint; Error(Exit::checkpoint) if there is none.
std::string find_checkpoint(const std::string& path);

/// Throws Error(Exit::usage) where a run that starts from the checkpoint `from` (empty: at step 0) would mix
/// with another one in the folder, or with its own later steps.
void require_unmixed(const std::string& folder, const std::string& from);

/// Removes the checkpoints of a folder: for a run that replaces the one before it.
void remove_checkpoints(const std::string& folder);

}  // namespace stopgrad
