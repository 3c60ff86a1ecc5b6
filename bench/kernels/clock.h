#pragma once
// Clocks: the host's for the CPU, events on the stream for CUDA.
#include <functional>
#include <vector>

#include "kernels/launch.h"

namespace stopgrad::bench {

/// Seconds of each of `count` launches; launch(i) starts the i-th.
std::vector<double> time_each(const Device& device, int count, const std::function<void(int)>& launch);
/// Seconds of `count` launches one after the other, from the start of the first to the end of the last.
double time_all(const Device& device, int count, const std::function<void(int)>& launch);

/// Ends the threads that a library has of OpenMP; else they spin for milliseconds on cores that ours want
/// next.
void end_library_threads();

#if defined(STOPGRAD_CUDA)
std::vector<double> time_each_cuda(cuda::Context&, int count, const std::function<void(int)>& launch);
double time_all_cuda(cuda::Context&, int count, const std::function<void(int)>& launch);
size_t last_cache_bytes_cuda(const cuda::Context&);
#endif

}  // namespace stopgrad::bench
