#pragma once
// Points in time along a device's work: the steady clock on the CPU, events of the stream on CUDA, where the
// host runs ahead and reads the times when all is done.
#include <chrono>
#include <vector>

#include "kernels/launch.h"

struct CUevent_st;

namespace stopgrad::bench {

class Timeline {
 public:
  /// Room for `marks` points, so that marking asks for nothing.
  Timeline(Device device, size_t marks);
  ~Timeline();
  Timeline(const Timeline&) = delete;
  Timeline& operator=(const Timeline&) = delete;

  /// Gives a GPU copies for at least `seconds`: marks of what the host launches meanwhile time the device and
  /// not the host. Nothing elsewhere.
  void head_start(double seconds);
  /// Now, in the order of the device's work. Returns the point's number.
  int mark();
  /// Waits for the device; seconds of every point since the first. The points are forgotten.
  std::vector<double> resolve();
  size_t count() const { return count_; }

 private:
  using Clock = std::chrono::steady_clock;
  Device device_;
  size_t count_ = 0;
  std::vector<Clock::time_point> times_;
  std::vector<CUevent_st*> events_;
};

/// Returns when the device has done what it was given.
void wait(const Device& device);

}  // namespace stopgrad::bench
