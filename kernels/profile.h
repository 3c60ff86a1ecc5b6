#pragma once
// Named ranges in the timeline of NVIDIA's profilers. Without a profiler a range costs nanoseconds, without
// CUDA nothing.
#if defined(STOPGRAD_CUDA) && !defined(STOPGRAD_EMULATE)
#include <nvtx3/nvToolsExt.h>
#endif

namespace stopgrad {

struct ProfileRange {
#if defined(STOPGRAD_CUDA) && !defined(STOPGRAD_EMULATE)
  explicit ProfileRange(const char* name) { nvtxRangePushA(name); }
  ~ProfileRange() { nvtxRangePop(); }
#else
  explicit ProfileRange(const char*) {}
  ~ProfileRange() {}
#endif
  ProfileRange(const ProfileRange&) = delete;
  ProfileRange& operator=(const ProfileRange&) = delete;
};

}  // namespace stopgrad
