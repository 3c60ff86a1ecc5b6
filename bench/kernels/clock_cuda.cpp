// Times of CUDA work by events on its stream. An event has a resolution of about half a microsecond. On an
// idle stream the time between two events around a launch would be the host's, not the kernel's: hence head
// starts.
#if defined(STOPGRAD_CUDA)
#include <cuda_runtime_api.h>

#include "bench/kernels/clock.h"
#include "kernels/cuda_context.h"

namespace stopgrad::bench {
namespace {

class Event {
 public:
  explicit Event(cuda::Context& context) : context_(context) {
    context_.check(cudaEventCreateWithFlags(&event_, cudaEventDefault), "cudaEventCreateWithFlags");
  }
  ~Event() { cudaEventDestroy(event_); }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;

  void record() { context_.check(cudaEventRecord(event_, context_.stream()), "cudaEventRecord"); }
  double seconds_since(const Event& start) {
    context_.check(cudaEventSynchronize(event_), "cudaEventSynchronize");
    float milliseconds = 0;
    context_.check(cudaEventElapsedTime(&milliseconds, start.event_, event_), "cudaEventElapsedTime");
    return milliseconds * 1e-3;
  }

 private:
  cuda::Context& context_;
  cudaEvent_t event_ = nullptr;
};

/// What the host takes for one launch and its events at most: a library's call, from the plan to the stream.
constexpr double kHostSeconds = 20e-6;

}  // namespace

void head_start_cuda([[maybe_unused]] cuda::Context& context, [[maybe_unused]] double seconds) {
#if !defined(STOPGRAD_EMULATE)
  constexpr size_t half = size_t{128} << 20;
  constexpr double fastest = 8e12;  // bytes read and written per second, more than any device copies today
  char* const memory = context.scratch_of<char>(2 * half);
  for (double given = 0; given < seconds; given += 2 * half / fastest)
    context.copy_on_device(memory + half, memory, half);
#endif
}

std::vector<double> time_each_cuda(cuda::Context& context, int count,
                                   const std::function<void(int)>& launch) {
  std::vector<std::unique_ptr<Event>> events;
  for (int i = 0; i < 2 * count; ++i) events.push_back(std::make_unique<Event>(context));
  head_start_cuda(context, count * kHostSeconds);
  for (int i = 0; i < count; ++i) {
    events[2 * i]->record();
    launch(i);
    events[2 * i + 1]->record();
  }
  std::vector<double> seconds;
  for (int i = 0; i < count; ++i) seconds.push_back(events[2 * i + 1]->seconds_since(*events[2 * i]));
  return seconds;
}

double time_all_cuda(cuda::Context& context, int count, const std::function<void(int)>& launch) {
  Event start(context), end(context);
  head_start_cuda(context, count * kHostSeconds);
  launch(count - 1);
  start.record();
  for (int i = 0; i < count; ++i) launch(i);
  end.record();
  return end.seconds_since(start);
}

size_t last_cache_bytes_cuda(const cuda::Context& context) {
  cudaDeviceProp properties{};
  cudaGetDeviceProperties(&properties, context.device());
  return static_cast<size_t>(properties.l2CacheSize);
}

}  // namespace stopgrad::bench
#endif
