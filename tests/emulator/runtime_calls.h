#pragma once
// The seam of the emulated runtime: every CUDA, cuDNN and cuBLASLt call is counted, and a chosen one can
// fail.
#include <driver_types.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace emulator {

/// Counts a call. An error when it is the chosen one, or when the device is broken for good.
cudaError_t next_call(const char* name);
int64_t calls();
/// How many of them came after the one that broke the device.
int64_t calls_after_fault();
/// Calls that may follow where this one broke the device: one, to ask whether it has, where a plan or a trial
/// of many may fail by itself.
inline int64_t may_ask(const std::string& failed) {
  return failed == "cudnnBackendFinalize" || failed == "cudnnBackendExecute" || failed == "cublasLtMatmul" ||
         failed == "cublasLtMatmulAlgoGetHeuristic";
}
/// The n-th call from now on (0 is the next) fails: allocations with out of memory, others with a fault that
/// stays. -1: none.
void fail_call(int64_t n);
/// Name of the call that failed last, or nothing.
const std::string& failed_call();
/// The names of the calls counted since this was asked for last, or since reset_device().
std::vector<const char*> take_call_names();
/// A healthy, empty device again; counts from 0. No context may be alive.
void reset_device();

/// Makes events that are recorded later so much later, on top of the time that passes.
void pass_time(float milliseconds);

/// Runs work of a stream now, or records it while the stream is being captured. `kernel`: one launched by
/// launch_blocks(), and not together.
cudaError_t enqueue(cudaStream_t stream, std::function<void()> work, bool kernel = false);
/// Whether the last thing put on the stream, or into what it records, is such a kernel.
bool follows_kernel(cudaStream_t stream);
bool is_capturing(cudaStream_t stream);

}  // namespace emulator
