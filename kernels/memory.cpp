#include "kernels/memory.h"

#include <sys/mman.h>

#include <cstring>
#include <new>
#include <utility>

#if defined(STOPGRAD_CUDA)
#include "kernels/cuda_context.h"
// A statement for CUDA memory; without CUDA there is none.
#define ON_CUDA(statement) \
  if (device.cuda) statement
#else
#define ON_CUDA(statement) (void)device
#endif

namespace stopgrad {

size_t usual_chunk(const Device& device) {
#if defined(STOPGRAD_EMULATE)
  if (device.cuda) return size_t{1} << 20;  // opened and closed round every kernel
#endif
  ON_CUDA(return size_t{256} << 20);
  return size_t{64} << 20;
}

void* allocate_memory(const Device& device, size_t bytes) {
  ON_CUDA(return device.cuda->allocate(bytes));
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return nullptr;
  madvise(memory, bytes, MADV_HUGEPAGE);  // fewer faults in the first step
  return memory;
}

void free_memory(const Device& device, void* at, size_t bytes) noexcept {
  ON_CUDA(return device.cuda->free(at));
  munmap(at, bytes);
}

void copy_to_device(const Device& device, void* to, const void* from, size_t bytes) {
  ON_CUDA(return device.cuda->copy_to_device(to, from, bytes));
  std::memcpy(to, from, bytes);
}

void copy_to_host(const Device& device, void* to, const void* from, size_t bytes) {
  ON_CUDA(return device.cuda->copy_to_host(to, from, bytes));
  std::memcpy(to, from, bytes);
}

void copy_on_device(const Device& device, void* to, const void* from, size_t bytes) {
  ON_CUDA(return device.cuda->copy_on_device(to, from, bytes));
  std::memcpy(to, from, bytes);
}

void* allocate_staging(const Device& device, size_t bytes) {
  ON_CUDA(return device.cuda->allocate_pinned(bytes));
  return ::operator new(bytes);
}

void free_staging(const Device& device, void* at) noexcept {
  ON_CUDA(return device.cuda->free_pinned(at));
  ::operator delete(at);
}

void copy_in_background(const Device& device, void* to, const void* from, size_t bytes) {
  ON_CUDA(return device.cuda->copy_in_background(to, from, bytes));
  std::memcpy(to, from, bytes);
}

void await_background([[maybe_unused]] const Device& device) { ON_CUDA(device.cuda->await_background()); }

void finish_background([[maybe_unused]] const Device& device) noexcept {
  ON_CUDA(device.cuda->finish_background());
}

void copy_from_staging(const Device& device, void* to, const void* staging, size_t bytes) {
  ON_CUDA(return device.cuda->copy_from_pinned(to, staging, bytes));
  std::memcpy(to, staging, bytes);
}

void copy_to_staging(const Device& device, void* staging, const void* from, size_t bytes) {
  ON_CUDA(return device.cuda->copy_to_pinned(staging, from, bytes));
  std::memcpy(staging, from, bytes);
}

void fill_memory(const Device& device, void* at, int value, size_t bytes) {
  ON_CUDA(return device.cuda->fill(at, value, bytes));
  std::memset(at, value, bytes);
}

Fence::Fence(const Device& device) : device_(device) { ON_CUDA(event_ = device.cuda->make_event()); }

Fence::~Fence() {
  [[maybe_unused]] const Device& device = device_;
  ON_CUDA(device.cuda->destroy(event_));
}

void Fence::mark() {
  const Device& device = device_;
  ON_CUDA(device.cuda->mark(event_));
  marked_ = true;
}

void Fence::wait() {
  if (!std::exchange(marked_, false)) return;
  const Device& device = device_;
  ON_CUDA(device.cuda->wait(event_));
}

void Fence::finish() noexcept {
  [[maybe_unused]] const Device& device = device_;
  ON_CUDA(if (!device.cuda->usable()) return );  // a broken device does no more work
  try {
    wait();
  } catch (const Error&) {  // so does one that breaks
  }
}

}  // namespace stopgrad
