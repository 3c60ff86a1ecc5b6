// The part of CUDA's runtime that the project calls, over emulated memory. Streams run at once, in call
// order, so a missing wait between streams is not seen; everything else is checked: ranges, directions,
// sticky errors, and what must not happen while a stream is captured.
#include "tests/emulator/runtime_calls.h"

#include <cuda_runtime_api.h>
#include <malloc.h>

#include <chrono>
#include <cstring>
#include <memory>
#include <set>
#include <utility>

#include "tests/emulator/block.h"
#include "tests/emulator/device_memory.h"

using emulator::DeviceScope;
using emulator::next_call;
using emulator::on_device;

struct CUgraph_st {
  std::vector<std::function<void()>> work;
};
struct CUgraphExec_st {
  CUgraph_st graph;
};
struct CUstream_st {
  std::unique_ptr<CUgraph_st> recording;
  bool invalid = false;  // something happened that a capture cannot hold
  bool after_kernel = false;
};
struct CUevent_st {
  std::chrono::steady_clock::time_point time;
};

namespace emulator {

namespace {
int64_t count = 0, countdown = -1, after_fault = 0;
cudaError_t sticky = cudaSuccess, last = cudaSuccess;
std::string failed;
std::vector<const char*> names;

std::set<const void*> pinned;
std::set<cudaStream_t> capturing;
float passed = 0;  // milliseconds

cudaError_t note(cudaError_t error) {
  if (error != cudaSuccess) last = error;
  return error;
}

/// What CUDA forbids to a thread that captures: the capture is lost.
cudaError_t forbidden_in_capture() {
  if (capturing.empty()) return cudaSuccess;
  for (const cudaStream_t stream : capturing) stream->invalid = true;
  return note(cudaErrorStreamCaptureUnsupported);
}

bool is_pinned(const void* at) {
  const auto after = pinned.upper_bound(at);  // allocations are few, and none is inside another
  return after != pinned.begin() && at < static_cast<const char*>(*std::prev(after)) +
                                             malloc_usable_size(const_cast<void*>(*std::prev(after)));
}
}  // namespace

cudaError_t next_call(const char* name) {
  ++count;
  names.push_back(name);
  if (sticky != cudaSuccess) {
    ++after_fault;
    return note(sticky);
  }
  if (countdown < 0 || countdown-- > 0) return cudaSuccess;
  failed = name;
  const bool allocates = failed == "cudaMalloc" || failed == "cudaMallocHost";
  if (!allocates) sticky = cudaErrorLaunchFailure;
  return note(allocates ? cudaErrorMemoryAllocation : sticky);
}

int64_t calls() { return count; }
int64_t calls_after_fault() { return after_fault; }
const std::string& failed_call() { return failed; }
std::vector<const char*> take_call_names() { return std::exchange(names, {}); }
void fail_call(int64_t n) { countdown = n; }
void pass_time(float milliseconds) { passed += milliseconds; }

void reset_device() {
  count = after_fault = 0;
  countdown = -1;
  capturing.clear();
  sticky = last = cudaSuccess;
  failed.clear();
  names.clear();
  device_free_all();
}

bool is_capturing(cudaStream_t stream) { return stream != nullptr && stream->recording != nullptr; }

bool follows_kernel(cudaStream_t stream) { return stream != nullptr && stream->after_kernel; }

cudaError_t enqueue(cudaStream_t stream, std::function<void()> work, bool kernel) {
  if (stream != nullptr) stream->after_kernel = kernel;
  if (is_capturing(stream)) stream->recording->work.push_back(std::move(work));
  else work();
  return cudaSuccess;
}

namespace {
bool is_right_way(void* to, const void* from, size_t bytes, cudaMemcpyKind kind) {
  const bool to_device = on_device(to, bytes), from_device = on_device(from, bytes);
  return (kind == cudaMemcpyHostToDevice && to_device && !on_device(from)) ||
         (kind == cudaMemcpyDeviceToHost && from_device && !on_device(to)) ||
         (kind == cudaMemcpyDeviceToDevice && to_device && from_device);
}

cudaError_t copy(void* to, const void* from, size_t bytes, cudaMemcpyKind kind) {
  if (!is_right_way(to, from, bytes, kind)) return cudaErrorInvalidValue;
  const DeviceScope scope("cudaMemcpyAsync");
  std::memmove(to, from, bytes);
  return cudaSuccess;
}
}  // namespace

}  // namespace emulator

using emulator::note;

#define COUNTED(name)                                    \
  do {                                                   \
    if (const cudaError_t e = next_call(name)) return e; \
  } while (false)
#define FORBIDDEN_IN_CAPTURE()                                            \
  do {                                                                    \
    if (const cudaError_t e = emulator::forbidden_in_capture()) return e; \
  } while (false)

extern "C" {

cudaError_t cudaGetDeviceCount(int* count) {
  COUNTED("cudaGetDeviceCount");
  *count = 1;
  return cudaSuccess;
}
cudaError_t cudaSetDevice(int device) {
  COUNTED("cudaSetDevice");
  return note(device == 0 ? cudaSuccess : cudaErrorInvalidDevice);
}
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int) {
  COUNTED("cudaGetDeviceProperties");
  *properties = {};
  std::strcpy(properties->name, "cuda");
  properties->major = 9;
  properties->multiProcessorCount = static_cast<int>(emulator::kProcessors);
  properties->totalGlobalMem = emulator::device_bytes();
  properties->sharedMemPerBlockOptin = emulator::options().shared_limit;
  return cudaSuccess;
}
cudaError_t cudaRuntimeGetVersion(int* version) {
  *version = CUDART_VERSION;
  return cudaSuccess;
}
cudaError_t cudaDriverGetVersion(int* version) { return cudaRuntimeGetVersion(version); }

cudaError_t cudaMalloc(void** pointer, size_t bytes) {
  COUNTED("cudaMalloc");
  FORBIDDEN_IN_CAPTURE();
  *pointer = emulator::device_allocate(bytes);
  return note(*pointer ? cudaSuccess : cudaErrorMemoryAllocation);
}
cudaError_t cudaFree(void* pointer) {
  COUNTED("cudaFree");
  FORBIDDEN_IN_CAPTURE();
  return note(!pointer || emulator::device_free(pointer) ? cudaSuccess : cudaErrorInvalidValue);
}
cudaError_t cudaMemGetInfo(size_t* free, size_t* total) {
  COUNTED("cudaMemGetInfo");
  *total = emulator::device_bytes();
  *free = *total - emulator::device_bytes_in_use();
  return cudaSuccess;
}
cudaError_t cudaMallocHost(void** pointer, size_t bytes) {
  COUNTED("cudaMallocHost");
  FORBIDDEN_IN_CAPTURE();
  *pointer = std::malloc(bytes);
  emulator::pinned.insert(*pointer);
  return cudaSuccess;
}
cudaError_t cudaFreeHost(void* pointer) {
  COUNTED("cudaFreeHost");
  FORBIDDEN_IN_CAPTURE();
  if (pointer && emulator::pinned.erase(pointer) == 0) return note(cudaErrorInvalidValue);
  std::free(pointer);
  return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream) {
  COUNTED("cudaMemcpyAsync");
  if (!emulator::is_capturing(stream)) {
    if (stream != nullptr) stream->after_kernel = false;
    return note(emulator::copy(to, from, bytes, kind));
  }
  if (!emulator::is_right_way(to, from, bytes, kind)) return note(cudaErrorInvalidValue);
  const void* const host = kind == cudaMemcpyHostToDevice   ? from
                           : kind == cudaMemcpyDeviceToHost ? to
                                                            : nullptr;
  if (host && !emulator::is_pinned(host)) return emulator::forbidden_in_capture();
  return emulator::enqueue(stream, [=] { emulator::copy(to, from, bytes, kind); });
}
cudaError_t cudaMemsetAsync(void* at, int value, size_t bytes, cudaStream_t stream) {
  COUNTED("cudaMemsetAsync");
  if (!on_device(at, bytes)) return note(cudaErrorInvalidValue);
  return emulator::enqueue(stream, [=] {
    const DeviceScope scope("cudaMemsetAsync");
    std::memset(at, value, bytes);
  });
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  COUNTED("cudaStreamCreateWithFlags");
  *stream = new CUstream_st;
  return cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  COUNTED("cudaStreamDestroy");
  emulator::capturing.erase(stream);
  delete stream;
  return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  COUNTED("cudaStreamSynchronize");
  return emulator::is_capturing(stream) ? emulator::forbidden_in_capture() : cudaSuccess;
}
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t, unsigned) {
  COUNTED("cudaStreamWaitEvent");
  stream->after_kernel = false;
  return cudaSuccess;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
  COUNTED("cudaEventCreateWithFlags");
  *event = new CUevent_st;
  return cudaSuccess;
}
cudaError_t cudaEventDestroy(cudaEvent_t event) {
  COUNTED("cudaEventDestroy");
  delete event;
  return cudaSuccess;
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  COUNTED("cudaEventRecord");
  if (emulator::is_capturing(stream)) return emulator::forbidden_in_capture();  // CUDA would record a node
  if (stream != nullptr) stream->after_kernel = false;
  event->time = std::chrono::steady_clock::now() +
                std::chrono::microseconds(static_cast<int64_t>(emulator::passed * 1000));
  return cudaSuccess;
}
cudaError_t cudaEventSynchronize(cudaEvent_t) {
  COUNTED("cudaEventSynchronize");
  FORBIDDEN_IN_CAPTURE();
  return cudaSuccess;
}
cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t begin, cudaEvent_t end) {
  COUNTED("cudaEventElapsedTime");
  *milliseconds = std::chrono::duration<float, std::milli>(end->time - begin->time).count();
  return cudaSuccess;
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode) {
  COUNTED("cudaStreamBeginCapture");
  if (emulator::is_capturing(stream)) return note(cudaErrorIllegalState);
  stream->recording = std::make_unique<CUgraph_st>();
  stream->invalid = stream->after_kernel = false;
  emulator::capturing.insert(stream);
  return cudaSuccess;
}
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  COUNTED("cudaStreamEndCapture");
  *graph = stream->recording.release();
  stream->after_kernel = false;
  emulator::capturing.erase(stream);
  if (*graph && stream->invalid) {
    delete std::exchange(*graph, nullptr);
    return note(cudaErrorStreamCaptureInvalidated);
  }
  return note(*graph ? cudaSuccess : cudaErrorIllegalState);
}
cudaError_t cudaStreamIsCapturing(cudaStream_t stream, cudaStreamCaptureStatus* status) {
  COUNTED("cudaStreamIsCapturing");
  *status = emulator::is_capturing(stream) ? cudaStreamCaptureStatusActive : cudaStreamCaptureStatusNone;
  return cudaSuccess;
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph, unsigned long long) {
  COUNTED("cudaGraphInstantiate");
  *executable = new CUgraphExec_st{*graph};
  return cudaSuccess;
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream) {
  COUNTED("cudaGraphLaunch");
  if (emulator::is_capturing(stream)) return emulator::forbidden_in_capture();  // no graphs inside graphs
  if (stream != nullptr) stream->after_kernel = false;
  for (const auto& work : executable->graph.work) work();
  return cudaSuccess;
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) {
  COUNTED("cudaGraphExecDestroy");
  delete executable;
  return cudaSuccess;
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  COUNTED("cudaGraphDestroy");
  delete graph;
  return cudaSuccess;
}

cudaError_t cudaPeekAtLastError() { return emulator::last; }
cudaError_t cudaGetLastError() {
  const cudaError_t error = emulator::last;
  emulator::last = emulator::sticky;
  return error;
}
const char* cudaGetErrorName(cudaError_t error) {
  switch (error) {
    case cudaSuccess:
      return "cudaSuccess";
    case cudaErrorMemoryAllocation:
      return "cudaErrorMemoryAllocation";
    case cudaErrorLaunchFailure:
      return "cudaErrorLaunchFailure";
    case cudaErrorInvalidValue:
      return "cudaErrorInvalidValue";
    case cudaErrorInvalidDevice:
      return "cudaErrorInvalidDevice";
    default:
      return "cudaError";
  }
}
const char* cudaGetErrorString(cudaError_t error) { return cudaGetErrorName(error); }

}  // extern "C"
