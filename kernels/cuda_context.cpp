#include "kernels/cuda_context.h"

#include <cuda_runtime_api.h>

#include <cstdlib>
#include <utility>

#include "kernels/check.h"
#include "kernels/cuda_libraries.h"

namespace stopgrad::cuda {

namespace {
bool is_on(const char* variable, const char* unless_told) {
  const char* const wish = std::getenv(variable);
  const std::string word = wish ? wish : unless_told;
  if (word != "on" && word != "off") fail(Exit::config, "{} is \"{}\": choose on or off", variable, word);
  return word == "on";
}

const char* text(int status) { return cudaGetErrorString(static_cast<cudaError_t>(status)); }

std::string version(int number) { return fmt::format("{}.{}", number / 1000, number % 1000 / 10); }

/// Errors after which CUDA promises nothing of this process's device memory.
bool is_sticky(int status) {
  switch (status) {
    case cudaErrorIllegalAddress:
    case cudaErrorLaunchFailure:
    case cudaErrorLaunchTimeout:
    case cudaErrorAssert:
    case cudaErrorHardwareStackError:
    case cudaErrorIllegalInstruction:
    case cudaErrorMisalignedAddress:
    case cudaErrorInvalidAddressSpace:
    case cudaErrorInvalidPc:
    case cudaErrorECCUncorrectable:
      return true;
    default:
      return false;
  }
}
}  // namespace

bool available(std::string* why) {
  int devices = 0;
  const cudaError_t status = cudaGetDeviceCount(&devices);
  if (status == cudaSuccess && devices > 0) return true;
  cudaGetLastError();  // else a later check would see it
  if (why == nullptr) return false;
  int driver = 0, runtime = 0;
  cudaDriverGetVersion(&driver);
  cudaRuntimeGetVersion(&runtime);
  if (driver == 0) *why = "no NVIDIA driver is installed";
  else if (status == cudaErrorInsufficientDriver)
    *why = fmt::format("the driver knows CUDA {}, this build needs {}: update the driver", version(driver),
                       version(runtime));
  else *why = status == cudaSuccess ? "the driver sees no GPU" : text(status);
  return false;
}

Context::Context(int device)
    : on_chip(is_on("STOPGRAD_ON_CHIP", "on")),
      overlap(is_on("STOPGRAD_OVERLAP", "off")),
      device_(device),
      libraries_(nullptr, [](Libraries* l) { delete l; }) {
  std::string why;
  if (!available(&why)) fail(Exit::device, "cuda: {}. Use --device cpu.", why);
  int devices = 0;
  check(cudaGetDeviceCount(&devices), "cudaGetDeviceCount");
  if (device < 0 || device >= devices)
    fail(Exit::device, "cuda:{}: this machine has {} device(s), numbered from 0", device, devices);
  check(cudaSetDevice(device), "cudaSetDevice");
  cudaDeviceProp found;
  check(cudaGetDeviceProperties(&found, device), "cudaGetDeviceProperties");
  info_ = {found.name,  found.multiProcessorCount, found.major,
           found.minor, found.totalGlobalMem,      found.sharedMemPerBlockOptin};
#if defined(STOPGRAD_EMULATE)
  info_.name += " (emulated)";
#endif
  check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "cudaStreamCreateWithFlags");
  ticket_ = static_cast<unsigned*>(allocate(sizeof *ticket_));
  fill(ticket_, 0, sizeof *ticket_);
}

Context::~Context() {
  libraries_.reset();
  if (!usable()) return;  // no further call on a broken device; the process takes everything back
  cudaFree(ticket_);
  cudaFree(scratch_);
  if (copied_) cudaEventDestroy(copied_);
  if (copy_stream_) cudaStreamDestroy(copy_stream_);
  if (stream_) cudaStreamDestroy(stream_);
}

void Context::check(int status, const char* call) {
  if (status == cudaSuccess) return;
  if (!broken_.empty()) throw Error(Exit::device, broken_);
  cudaGetLastError();
  if (status == cudaErrorMemoryAllocation) fail(Exit::memory, "{}: out of device memory", call);
  const std::string message =
      fmt::format("{}: the device reports \"{}\". Nothing more runs on it; the last checkpoint is whole.",
                  call, text(status));
  if (is_sticky(status)) broken_ = message;
  throw Error(Exit::device, message);
}

void Context::fail_library(const char* call, const char* says, bool memory) {
  if (!broken_.empty()) throw Error(Exit::device, broken_);
  if (memory) fail(Exit::memory, "{}: out of device memory ({})", call, says);
  broken_ = fmt::format(
      "{}: the library reports \"{}\" ({}). Nothing more runs on the device; the last checkpoint is whole.",
      call, says, text(cudaPeekAtLastError()));
  throw Error(Exit::device, broken_);
}

bool Context::survives() {
  if (!usable() || cudaStreamSynchronize(stream()) != cudaSuccess) return false;
  cudaGetLastError();  // which the library may have left, and a later check would see
  return true;
}

void* Context::scratch(size_t bytes) {
  if (bytes <= capacity_) return scratch_;
  refuse_during_capture(fmt::format("scratch memory would grow to {} bytes", bytes));
  synchronize();
  free(scratch_);
  scratch_ = nullptr;
  capacity_ = 0;
  scratch_ = allocate(bytes);
  capacity_ = bytes;
  ++scratch_moves_;
  return scratch_;
}

Context::Turn Context::next_kernel(bool cooperative) {
  const bool follows = std::exchange(after_kernel_, !cooperative);
  return {stream_, overlap && follows && !cooperative};
}

void Context::refuse_during_capture(const std::string& what) {
  cudaStreamCaptureStatus capture = cudaStreamCaptureStatusNone;
  check(cudaStreamIsCapturing(stream_, &capture), "cudaStreamIsCapturing");
  ENSURE(capture == cudaStreamCaptureStatusNone,
         "cuda: {} during capture; a step that runs before must do what this one does", what);
}

void* Context::allocate(size_t bytes) {
  refuse_during_capture(fmt::format("{} bytes would be asked of the device", bytes));
  void* memory = nullptr;
  const int status = cudaMalloc(&memory, bytes);
  if (status == cudaErrorMemoryAllocation) {
    cudaGetLastError();
    fail(Exit::memory, "out of device memory: {} MiB more were asked for. Use a smaller batch.", bytes >> 20);
  }
  check(status, "cudaMalloc");
  return memory;
}

void Context::free(void* at) noexcept {
  if (at && broken_.empty()) cudaFree(at);
}

void Context::copy_to_device(void* to, const void* from, size_t bytes) {
  if (bytes == 0) return;
  check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, stream()), "cudaMemcpyAsync");
  synchronize();
}

void Context::copy_to_host(void* to, const void* from, size_t bytes) {
  if (bytes == 0) return;
  check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, stream()), "cudaMemcpyAsync");
  synchronize();
}

void Context::copy_on_device(void* to, const void* from, size_t bytes) {
  if (bytes) check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, stream()), "cudaMemcpyAsync");
}

void Context::fill(void* at, int value, size_t bytes) {
  if (bytes) check(cudaMemsetAsync(at, value, bytes, stream()), "cudaMemsetAsync");
}

void Context::synchronize() { check(cudaStreamSynchronize(stream()), "cudaStreamSynchronize"); }

void* Context::allocate_pinned(size_t bytes) {
  void* memory = nullptr;
  const int status = cudaMallocHost(&memory, bytes);
  if (status == cudaErrorMemoryAllocation) {
    cudaGetLastError();
    fail(Exit::memory, "out of host memory that the device can read: {} KiB more were asked for",
         bytes >> 10);
  }
  check(status, "cudaMallocHost");
  return memory;
}

void Context::free_pinned(void* at) noexcept {
  if (at && usable()) cudaFreeHost(at);
}

void Context::copy_in_background(void* to, const void* from, size_t bytes) {
  if (!copy_stream_) {
    check(cudaStreamCreateWithFlags(&copy_stream_, cudaStreamNonBlocking), "cudaStreamCreateWithFlags");
    copied_ = make_event();
  }
  check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, copy_stream_), "cudaMemcpyAsync");
  check(cudaEventRecord(copied_, copy_stream_), "cudaEventRecord");
}

void Context::await_background() { check(cudaStreamWaitEvent(stream(), copied_, 0), "cudaStreamWaitEvent"); }

void Context::finish_background() noexcept {
  if (copy_stream_ && usable()) cudaStreamSynchronize(copy_stream_);
}

void Context::copy_from_pinned(void* to, const void* from, size_t bytes) {
  check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, stream()), "cudaMemcpyAsync");
}

void Context::copy_to_pinned(void* to, const void* from, size_t bytes) {
  check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, stream()), "cudaMemcpyAsync");
}

CUevent_st* Context::make_event() {
  cudaEvent_t event = nullptr;
  check(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "cudaEventCreateWithFlags");
  return event;
}

void Context::mark(CUevent_st* event) { check(cudaEventRecord(event, stream()), "cudaEventRecord"); }
void Context::wait(CUevent_st* event) { check(cudaEventSynchronize(event), "cudaEventSynchronize"); }

void Context::destroy(CUevent_st* event) noexcept {
  if (event && usable()) cudaEventDestroy(event);
}

size_t Context::free_bytes() {
  size_t free_now = 0, total = 0;
  check(cudaMemGetInfo(&free_now, &total), "cudaMemGetInfo");
  return free_now;
}

Libraries& Context::libraries() {
  if (!libraries_) libraries_.reset(new Libraries(*this));
  return *libraries_;
}

}  // namespace stopgrad::cuda
