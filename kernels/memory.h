#pragma once
// Memory of a device: the one place where host code asks for it, fills it and copies it.
#include <cstddef>

#include "kernels/launch.h"

struct CUevent_st;

namespace stopgrad {

/// The size in which to ask for memory, large enough that asking is rare.
size_t usual_chunk(const Device& device);
/// A large piece of memory of the device. Null, or Error(Exit::memory), when there is no more.
void* allocate_memory(const Device& device, size_t bytes);
void free_memory(const Device& device, void* at, size_t bytes) noexcept;

void copy_to_device(const Device& device, void* to, const void* from, size_t bytes);
void copy_to_host(const Device& device, void* to, const void* from, size_t bytes);
void copy_on_device(const Device& device, void* to, const void* from, size_t bytes);
/// Host memory from which copies can run beside the device's work.
void* allocate_staging(const Device& device, size_t bytes);
void free_staging(const Device& device, void* at) noexcept;
/// Starts a copy from such memory on a stream of its own; work launched after await_background() sees it.
void copy_in_background(const Device& device, void* to, const void* from, size_t bytes);
void await_background(const Device& device);
/// Returns when such copies are done: before either end of one may be used for something else.
void finish_background(const Device& device) noexcept;
/// Between such memory and the device, in the order of its work; the host does not wait.
void copy_from_staging(const Device& device, void* to, const void* staging, size_t bytes);
void copy_to_staging(const Device& device, void* staging, const void* from, size_t bytes);
/// Every byte becomes `value`.
void fill_memory(const Device& device, void* at, int value, size_t bytes);

/// A point in the device's work that the host can wait for.
class Fence {
 public:
  explicit Fence(const Device& device);
  ~Fence();
  Fence(const Fence&) = delete;
  Fence& operator=(const Fence&) = delete;

  /// Behind everything launched so far.
  void mark();
  /// Returns when the device has come to the mark; at once where there is none, or after a second wait.
  void wait();
  /// The same before memory goes, also after an error.
  void finish() noexcept;

 private:
  Device device_;
  CUevent_st* event_ = nullptr;
  bool marked_ = false;
};

}  // namespace stopgrad
