#pragma once
// Few bytes between the host and the device in every step, without a wait.
#include "engine/tensor.h"
#include "kernels/memory.h"

namespace stopgrad {

/// Host memory that is copied to the device, or from it, in the order of the device's work.
class Staging {
 public:
  Staging(const Device& device, size_t bytes);
  ~Staging();
  Staging(const Staging&) = delete;
  Staging& operator=(const Staging&) = delete;

  /// Waits for the last copy: then the memory may be written, or holds what was fetched.
  void* wait();
  /// Starts a copy of all of it.
  void send_to(void* on_device);
  void fetch_from(const void* on_device);

 private:
  Device device_;
  size_t bytes_;
  Fence copied_;
  void* memory_;
};

/// Values that change from step to step, at an address of the device that stays. The host waits only while
/// the device has not taken the values before the last ones.
class StepValues {
 public:
  StepValues(Pool memory, Shape shape, DType dtype);

  /// What is launched from now on reads these values; `from` may change at once.
  void set(const void* from);
  template <class T>
  T* data() const {
    return values_.data<T>();
  }
  size_t count() const { return static_cast<size_t>(values_.count()); }

 private:
  Tensor values_;
  Staging staging_[2];
  int next_ = 0;
};

}  // namespace stopgrad
