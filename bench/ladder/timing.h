#pragma once
// Times on a device, by events round batches of runs.
#include <cuda_runtime_api.h>

#include <algorithm>
#include <vector>

#include "kernels/cuda_context.h"

namespace stopgrad::ladder {

/// Microseconds of one run: the median of all batches and their quartiles.
struct Time {
  double median, low, high;
};

class Stopwatch {
 public:
  explicit Stopwatch(cuda::Context& context) : context_(context) {
    for (cudaEvent_t* event : {&begin_, &end_})
      context_.check(cudaEventCreateWithFlags(event, cudaEventDefault), "cudaEventCreateWithFlags");
  }
  ~Stopwatch() {
    cudaEventDestroy(begin_);
    cudaEventDestroy(end_);
  }
  Stopwatch(const Stopwatch&) = delete;
  Stopwatch& operator=(const Stopwatch&) = delete;

  /// Batches of `runs` calls of run(i), one to warm up, then at most `batches` or until `seconds` are over,
  /// but at least three.
  template <class F>
  Time measure(int runs, int batches, double seconds, F run) {
    batch(runs, run);
    std::vector<double> each;
    double total = 0;
    for (int k = 0; k < batches && (k < 3 || total < seconds * 1e6); ++k) {
      each.push_back(batch(runs, run) / runs);
      total += each.back() * runs;
    }
    std::sort(each.begin(), each.end());
    const size_t n = each.size();
    return {each[n / 2], each[n / 4], each[n - 1 - n / 4]};
  }

 private:
  /// Microseconds of one batch.
  template <class F>
  double batch(int runs, F run) {
    context_.check(cudaEventRecord(begin_, context_.stream()), "cudaEventRecord");
    for (int i = 0; i < runs; ++i) run(i);
    context_.check(cudaEventRecord(end_, context_.stream()), "cudaEventRecord");
    context_.check(cudaEventSynchronize(end_), "cudaEventSynchronize");
    float milliseconds;
    context_.check(cudaEventElapsedTime(&milliseconds, begin_, end_), "cudaEventElapsedTime");
    return 1e3 * milliseconds;
  }

  cuda::Context& context_;
  cudaEvent_t begin_ = nullptr, end_ = nullptr;
};

/// Bytes of the device's L2 cache; 0 for the emulated one, which has none.
inline size_t cache_bytes(cuda::Context& context) {
  cudaDeviceProp found;
  context.check(cudaGetDeviceProperties(&found, context.device()), "cudaGetDeviceProperties");
  return static_cast<size_t>(found.l2CacheSize);
}

/// Bytes per microsecond that a copy of `size` bytes moves: read and written.
inline double copy_bandwidth(cuda::Context& context, Stopwatch& watch, size_t size) {
  void *const from = context.allocate(size), *const to = context.allocate(size);
  context.fill(from, 1, size);
  const Time time = watch.measure(4, 20, 1, [&](int) { context.copy_on_device(to, from, size); });
  context.free(from);
  context.free(to);
  return 2 * static_cast<double>(size) / time.median;
}

}  // namespace stopgrad::ladder
