#include "kernels/cuda_plan_search.h"

#include <cuda_runtime_api.h>

#include <algorithm>

namespace stopgrad::cuda {

namespace {

constexpr int kRuns = 5;
constexpr float kBetter = 0.97f;  // of the time of what the library ranks before
/// Filled before each run: more than any second cache holds, so that what is large is read from memory, and
/// 50 us of work or more, behind which the host gets ahead; else it, not the device, would be timed where
/// kernels are short.
#if defined(STOPGRAD_EMULATE)
constexpr size_t kAhead = 4096;  // whose host is not ahead of anything
#else
constexpr size_t kAhead = size_t{128} << 20;
#endif

/// Bytes of operands that a step finds in the second cache of 50 MB, where the layer before has left them:
/// these a run that is not timed brings there, and it writes back what the fill has left.
constexpr size_t kCached = size_t{30} << 20;

class Event {
 public:
  explicit Event(Context& context) : context_(context) {
    context.check(cudaEventCreateWithFlags(&event_, cudaEventDefault), "cudaEventCreateWithFlags");
  }
  ~Event() {
    if (context_.usable()) cudaEventDestroy(event_);
  }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;

  void record() { context_.check(cudaEventRecord(event_, context_.stream()), "cudaEventRecord"); }
  float milliseconds_since(const Event& begin) {
    context_.check(cudaEventSynchronize(event_), "cudaEventSynchronize");
    float out = 0;
    context_.check(cudaEventElapsedTime(&out, begin.event_, event_), "cudaEventElapsedTime");
    return out;
  }

 private:
  Context& context_;
  cudaEvent_t event_ = nullptr;
};

}  // namespace

SearchMemory::~SearchMemory() {
  for (void* at : held_) context_.free(at);
}

void* SearchMemory::add(size_t bytes) {
  held_.push_back(nullptr);
  held_.back() = context_.allocate(std::max<size_t>(bytes, 1));
  context_.fill(held_.back(), 0x3c, bytes);  // as bf16 and as float 0.0115
  return held_.back();
}

int fastest(Context& context, int candidates, size_t operands, const std::function<bool(int)>& run) {
  Event begin(context), end(context);
  SearchMemory memory(context);
  void* const ahead = memory.add(kAhead);
  std::vector<std::vector<float>> times(static_cast<size_t>(candidates));
  std::vector<bool> runs(static_cast<size_t>(candidates));
  for (int i = 0; i < candidates; ++i) runs[size_t(i)] = run(i);
  for (int round = 0; round < kRuns; ++round)
    for (int i = 0; i < candidates; ++i) {
      if (!runs[size_t(i)]) continue;
      context.fill(ahead, 0, kAhead);
      if (operands <= kCached) run(i);
      begin.record();
      runs[size_t(i)] = run(i);
      end.record();
      times[size_t(i)].push_back(end.milliseconds_since(begin));
    }
  int best = -1;
  float shortest = 0;
  for (int i = 0; i < candidates; ++i) {
    if (!runs[size_t(i)]) continue;
    std::vector<float>& t = times[size_t(i)];
    std::nth_element(t.begin(), t.begin() + kRuns / 2, t.end());
    const float median = t[kRuns / 2];
    if (best >= 0 && median >= kBetter * shortest) continue;
    best = i;
    shortest = median;
  }
  return best;
}

}  // namespace stopgrad::cuda
