#pragma once
// Memory of a device: the one place where host code asks for it, fills it and copies it.
#include <cstddef>

#include "kernels/launch.h"

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
/// Every byte becomes `value`.
void fill_memory(const Device& device, void* at, int value, size_t bytes);

}  // namespace stopgrad
