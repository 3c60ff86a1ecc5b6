#pragma once
// The device a run computes on, from its name.
#include <memory>
#include <string>

#include "kernels/launch.h"

namespace stopgrad {

class Compute {
 public:
  /// "cpu", "cuda", "cuda:1", or "auto": CUDA where there is a device, else the CPU. `precision` as in a
  /// recipe: float64 is the CPU's alone, tf32 is CUDA's. Throws Error(Exit::config) for another name,
  /// Error(Exit::device) when the device is not to be had.
  Compute(const std::string& name, int threads, const std::string& precision = "float32");
  ~Compute();

  Device device() const;
  int threads() const { return cpu_->threads(); }
  /// "cpu", or the name of the GPU.
  std::string name() const;
  /// "2 threads", or the name of the GPU.
  std::string describe() const;
  /// True for devices where the views of an image are best computed as one batch.
  bool prefers_batched() const { return cuda_ != nullptr; }
  /// Bytes that the device has free; 0 where nobody counts.
  size_t free_bytes() const;
  /// The algorithms that the device's libraries run with, as text for a checkpoint: device and versions, then
  /// a line each. Empty on the CPU.
  std::string library_plans() const;
  /// Makes the device take these. Returns why it cannot; empty when it does, and for an empty text.
  std::string pin_library_plans(const std::string& text) const;

 private:
  std::unique_ptr<cpu::Context> cpu_;
  std::shared_ptr<cuda::Context> cuda_;
};

/// "cpu" and the CUDA devices of this build and machine, a line each, or why there is none.
std::string list_devices();

}  // namespace stopgrad
