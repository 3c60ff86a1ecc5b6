#pragma once
// The only dispatch between devices. A schedule that is missing is a link error. Calls are trusted:
// engine/ops checks shapes; a schedule checks only what its header says.
#include "kernels/check.h"
#include "kernels/context.h"
#include "kernels/dtype.h"

namespace stopgrad {

/// Where work runs: a handle on one context, which outlives it.
struct Device {
  cpu::Context* cpu = nullptr;
  cuda::Context* cuda = nullptr;

  bool is_cpu() const { return cpu != nullptr; }
  bool operator==(const Device&) const = default;
};

/// False for calls over doubles, which only the CPU computes.
template <class Call>
inline constexpr bool on_cuda = true;
template <template <class> class Call>
inline constexpr bool on_cuda<Call<double>> = false;
template <template <class, class> class Call, class T>
inline constexpr bool on_cuda<Call<double, T>> = false;
template <template <class, class> class Call, class T>
inline constexpr bool on_cuda<Call<T, double>> = false;
template <template <class, class> class Call>
inline constexpr bool on_cuda<Call<double, double>> = false;

/// Runs a call where its memory lives. The schedule is found beside the context, when the template is used.
template <class Call>
void launch(const Device& device, const Call& call) {
#if defined(STOPGRAD_CUDA)
  if (device.cuda) {
    if constexpr (on_cuda<Call>) return run(call, *device.cuda);
    else fail(Exit::failed, "float64 runs on the CPU only: choose --device cpu, or another precision");
  }
#endif
  run(call, *device.cpu);
}

}  // namespace stopgrad
