#pragma once
// Memory of the emulated device: every allocation is known, fenced, and closed to host code, so that host
// code that reads it and a kernel that is given a host pointer are errors.
#include <cstddef>

namespace emulator {

void* device_allocate(size_t bytes);  // filled with 0xFF; null when the emulated device has no more
bool device_free(void* at);           // false: not an allocation's beginning
/// True if [at, at + bytes) lies inside one allocation.
bool on_device(const void* at, size_t bytes = 1);
void device_free_all();  // as at the end of a process
size_t device_bytes_in_use();
/// The size of the emulated device; 256 MiB unless told.
void set_device_bytes(size_t bytes);
size_t device_bytes();

/// Throws Error if a kernel's argument points to memory of the host.
void check_device_pointer(const char* kernel, int number, const void* pointer);
/// The same for the pointers inside a struct: each word that is the address of a mapped page.
void check_words(const char* kernel, int number, const void* words, size_t bytes);

/// Device memory is open while one lives: in kernels, and in copies and library calls.
class DeviceScope {
 public:
  explicit DeviceScope(const char* what);
  ~DeviceScope();
  DeviceScope(const DeviceScope&) = delete;
  DeviceScope& operator=(const DeviceScope&) = delete;
};

/// Inside a DeviceScope: closed again while one lives, in a sample of them, for threads that must wait before
/// they touch it.
class ClosedScope {
 public:
  ClosedScope();
  ~ClosedScope();
  ClosedScope(const ClosedScope&) = delete;
  ClosedScope& operator=(const ClosedScope&) = delete;
};

}  // namespace emulator
