#pragma once
// Clocks: the host's for the CPU, events on the stream for CUDA.
#include <functional>
#include <vector>

#include "kernels/launch.h"

namespace stopgrad::bench {

/// Seconds of each of `count` launches; launch(i) starts the i-th.
std::vector<double> time_each(const Device& device, int count, const std::function<void(int)>& launch);
/// Seconds of `count` launches one after the other, from the start of the first to the end of the last. On
/// CUDA at most kMostQueued, or the host's pace is what is timed.
double time_all(const Device& device, int count, const std::function<void(int)>& launch);

/// Launches that a stream takes before the host must wait.
constexpr int kMostQueued = 500;

/// Ends the threads that a library has of OpenMP; else they spin for milliseconds on cores that ours want
/// next.
void end_library_threads();

#if defined(STOPGRAD_CUDA)
/// Gives the device copies for at least `seconds`. What the host launches meanwhile runs without gaps after
/// them, so that events in between time the device and not the host. Nothing on the emulated device.
void head_start_cuda(cuda::Context&, double seconds);
std::vector<double> time_each_cuda(cuda::Context&, int count, const std::function<void(int)>& launch);
/// One launch more, the last, comes before the clock starts: the head start has filled the cache.
double time_all_cuda(cuda::Context&, int count, const std::function<void(int)>& launch);
size_t last_cache_bytes_cuda(const cuda::Context&);
#endif

}  // namespace stopgrad::bench
