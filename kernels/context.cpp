#include "kernels/context.h"

#include <sched.h>

#include <cstdlib>
#include <new>

#include "kernels/plans.h"

namespace stopgrad::cpu {

namespace {
int processors_of_this_process() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof(set), &set) != 0) return 1;
  return CPU_COUNT(&set);
}
}  // namespace

Context::Context(int threads)
    : team_(threads > 0 ? threads : processors_of_this_process()),
      plans_(make_library_plans(team_.threads())) {}

Context::~Context() { std::free(buffer_); }

void* Context::scratch(size_t bytes) {
  if (bytes > capacity_) {
    std::free(buffer_);
    buffer_ = nullptr;
    capacity_ = 0;
    const size_t rounded = (bytes + 4095) / 4096 * 4096;
    buffer_ = std::aligned_alloc(4096, rounded);
    if (buffer_ == nullptr) throw std::bad_alloc();
    capacity_ = rounded;
  }
  return buffer_;
}

}  // namespace stopgrad::cpu
