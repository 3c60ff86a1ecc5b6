#include "bench/kernels/clock.h"

#ifdef _OPENMP
#include <omp.h>
#endif

#include <chrono>
#include <fstream>

#include "bench/kernels/subject.h"

namespace stopgrad::bench {
namespace {

using Steady = std::chrono::steady_clock;

double since(Steady::time_point start) {
  return std::chrono::duration<double>(Steady::now() - start).count();
}

}  // namespace

std::vector<double> time_each(const Device& device, int count, const std::function<void(int)>& launch) {
#if defined(STOPGRAD_CUDA)
  if (device.cuda) return time_each_cuda(*device.cuda, count, launch);
#endif
  (void)device;
  std::vector<double> seconds;
  for (int i = 0; i < count; ++i) {
    const auto start = Steady::now();
    launch(i);
    seconds.push_back(since(start));
  }
  return seconds;
}

double time_all(const Device& device, int count, const std::function<void(int)>& launch) {
#if defined(STOPGRAD_CUDA)
  if (device.cuda) return time_all_cuda(*device.cuda, count, launch);
#endif
  (void)device;
  const auto start = Steady::now();
  for (int i = 0; i < count; ++i) launch(i);
  return since(start);
}

void end_library_threads() {
#ifdef _OPENMP
  omp_pause_resource_all(omp_pause_soft);
#endif
}

/// From Linux; libraries' guesses count the caches of cores that a virtual machine does not have.
size_t last_cache_bytes(const Device& device) {
#if defined(STOPGRAD_CUDA)
  if (device.cuda) return last_cache_bytes_cuda(*device.cuda);
#endif
  (void)device;
  size_t kib = 0;
  for (int level = 0; level < 8; ++level) {
    std::ifstream file(fmt::format("/sys/devices/system/cpu/cpu0/cache/index{}/size", level));
    if (size_t size; file >> size) kib = std::max(kib, size);
  }
  return kib > 0 ? kib << 10 : size_t{32} << 20;
}

}  // namespace stopgrad::bench
