#pragma once
// A step that repeats: on CUDA it is captured into one graph after its first runs and replayed, without the
// host in the loop. On the CPU it is simply run.
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "engine/storage.h"

namespace stopgrad {

/// A captured step keeps every address and every number that it was launched with: what changes from step to
/// step it reads from device memory. It may neither wait for the device nor ask the system for memory nor
/// make a library plan; each is an error.
class StepGraph {
 public:
  /// `memory`: where the results of the work live. `counters`: numbers of the host that it advances; a replay
  /// advances them by as much. Not `enabled`: the work is run every time, with the same bits.
  StepGraph(Pool memory, std::vector<int64_t*> counters, bool enabled);
  ~StepGraph();

  /// Does the work once. If a graph exists and memory is as it was at the capture: by a replay. Else, if the
  /// last run asked for no memory: captures the work, then replays it. Else, or if `eagerly` (this step does
  /// more, such as measuring the rank): simply runs it.
  void run(const std::function<void()>& work, bool eagerly = false);
  /// Captures anew: what the graph was captured with, libraries' plans for one, holds no longer.
  void forget();
  int64_t replays() const { return replays_; }

 private:
  struct Captured;
  /// The same work between equal states gets the same addresses.
  struct MemoryState {
    uint64_t live_blocks;
    size_t system_bytes;
    int64_t scratch_moves;
    bool operator==(const MemoryState&) const = default;
  };
  MemoryState memory_state() const;
  void capture(const std::function<void()>& work);

  Pool memory_;
  std::vector<int64_t*> counters_;
  bool enabled_;
  int64_t replays_ = 0;
  std::optional<MemoryState> settled_;  // before and after a run that asked for nothing
  std::unique_ptr<Captured> captured_;
};

}  // namespace stopgrad
