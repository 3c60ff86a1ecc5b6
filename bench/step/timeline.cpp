#include "bench/step/timeline.h"

#if defined(STOPGRAD_CUDA)
#include <cuda_runtime_api.h>

#include "bench/kernels/clock.h"
#include "kernels/cuda_context.h"
#define ON_CUDA(...) \
  if (device_.cuda) __VA_ARGS__
#else
#define ON_CUDA(...)
#endif

namespace stopgrad::bench {

Timeline::Timeline(Device device, size_t marks) : device_(device), times_(marks) {
  ON_CUDA(for (size_t i = 0; i < marks; ++i) {
    CUevent_st* event = nullptr;
    device.cuda->check(cudaEventCreateWithFlags(&event, cudaEventDefault), "cudaEventCreateWithFlags");
    events_.push_back(event);
  })
}

Timeline::~Timeline() {
  ON_CUDA(if (device_.cuda->usable()) for (CUevent_st* event : events_) cudaEventDestroy(event);)
}

void Timeline::head_start([[maybe_unused]] double seconds) {
  ON_CUDA(head_start_cuda(*device_.cuda, seconds);)
}

int Timeline::mark() {
  ENSURE(count_ < times_.size(), "timeline: room for {} points only", times_.size());
  times_[count_] = Clock::now();
  ON_CUDA(device_.cuda->check(cudaEventRecord(events_[count_], device_.cuda->stream()), "cudaEventRecord");)
  return static_cast<int>(count_++);
}

std::vector<double> Timeline::resolve() {
  wait(device_);
  std::vector<double> out;
  for (size_t i = 0; i < count_; ++i)
    out.push_back(std::chrono::duration<double>(times_[i] - times_[0]).count());
  ON_CUDA(for (size_t i = 0; i < count_; ++i) {
    float milliseconds = 0;
    device_.cuda->check(cudaEventElapsedTime(&milliseconds, events_[0], events_[i]), "cudaEventElapsedTime");
    out[i] = milliseconds / 1e3;
  })
  count_ = 0;
  return out;
}

void wait([[maybe_unused]] const Device& device) {
#if defined(STOPGRAD_CUDA)
  if (device.cuda) device.cuda->synchronize();
#endif
}

}  // namespace stopgrad::bench
