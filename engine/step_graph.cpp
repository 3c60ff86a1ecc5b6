#include "engine/step_graph.h"

#if defined(STOPGRAD_CUDA)
#include "kernels/cuda_graph.h"
#endif

namespace stopgrad {

#if defined(STOPGRAD_CUDA)

struct StepGraph::Captured {
  cuda::Graph graph;
  std::vector<int64_t> advance;  // of the counters
  MemoryState memory;            // when the work began
};

StepGraph::MemoryState StepGraph::memory_state() const {
  const PoolStats stats = memory_.stats();
  return {stats.live_blocks, stats.system_bytes, memory_.device().cuda->scratch_moves()};
}

void StepGraph::capture(const std::function<void()>& work) {
  std::vector<int64_t> advance;
  for (const int64_t* counter : counters_) advance.push_back(-*counter);
  const MemoryState memory = memory_state();
  captured_.reset(new Captured{{*memory_.device().cuda, work}, {}, memory});
  for (size_t i = 0; i < counters_.size(); ++i) {
    advance[i] += *counters_[i];
    *counters_[i] -= advance[i];  // recorded, not done
  }
  captured_->advance = std::move(advance);
}

void StepGraph::run(const std::function<void()>& work, bool eagerly) {
  if (!enabled_ || eagerly) return work();
  const MemoryState before = memory_state();
  // What somebody else holds may lie where the graph writes, and its scratch memory may be gone. More memory
  // in the pool is no matter.
  if (captured_ && (captured_->memory.live_blocks != before.live_blocks ||
                    captured_->memory.scratch_moves != before.scratch_moves))
    captured_.reset();
  if (!captured_ && settled_ != before) {
    work();
    settled_.reset();
    if (memory_state() == before) settled_ = before;
    return;
  }
  if (!captured_) capture(work);
  for (size_t i = 0; i < counters_.size(); ++i) *counters_[i] += captured_->advance[i];
  captured_->graph.launch();
  ++replays_;
}

#else

struct StepGraph::Captured {};

void StepGraph::run(const std::function<void()>& work, bool) { work(); }

#endif

StepGraph::StepGraph(Pool memory, std::vector<int64_t*> counters, bool enabled)
    : memory_(std::move(memory)),
      counters_(std::move(counters)),
      enabled_(enabled && !memory_.device().is_cpu()) {}

StepGraph::~StepGraph() = default;

/// The next run is an ordinary one: no plan may be missing when the one after is captured.
void StepGraph::forget() {
  captured_.reset();
  settled_.reset();
}

}  // namespace stopgrad
