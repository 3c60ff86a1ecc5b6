#include "engine/staging.h"

#include <cstring>

namespace stopgrad {

Staging::Staging(const Device& device, size_t bytes)
    : device_(device), bytes_(bytes), copied_(device), memory_(allocate_staging(device, bytes)) {}

Staging::~Staging() {
  copied_.finish();
  free_staging(device_, memory_);
}

void* Staging::wait() {
  copied_.wait();
  return memory_;
}

void Staging::send_to(void* on_device) {
  copy_from_staging(device_, on_device, memory_, bytes_);
  copied_.mark();
}

void Staging::fetch_from(const void* on_device) {
  copy_to_staging(device_, memory_, on_device, bytes_);
  copied_.mark();
}

StepValues::StepValues(Pool memory, Shape shape, DType dtype)
    : values_(memory, shape, dtype),
      staging_{{memory.device(), values_.bytes()}, {memory.device(), values_.bytes()}} {}

void StepValues::set(const void* from) {
  Staging& staging = staging_[next_];
  next_ = 1 - next_;
  std::memcpy(staging.wait(), from, values_.bytes());
  staging.send_to(values_.raw());
}

}  // namespace stopgrad
