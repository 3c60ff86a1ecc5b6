#pragma once
// The only dispatch between devices. A schedule that is missing is a link error.
#include "kernels/context.h"

namespace stopgrad {

namespace cuda {
class Context;
}

/// Where work runs: a handle on one context, which outlives it.
struct Device {
  cpu::Context* cpu = nullptr;
  cuda::Context* cuda = nullptr;

  bool is_cpu() const { return cpu != nullptr; }
  bool operator==(const Device&) const = default;
};

/// Runs a call where its memory lives.
template <class Call>
void launch(const Device& device, const Call& call) {
  run(call, *device.cpu);  // found beside the call's context, when the template is used
}

}  // namespace stopgrad
