#pragma once
// A kernel launch: checks its shape and its pointers, then runs the blocks one after the other, or those of a
// cooperative launch in turns, in an order that the seed decides. Up to its wait for the kernel before, a
// block finds the device's memory closed.
#include <driver_types.h>

#include <memory>
#include <tuple>
#include <type_traits>
#include <utility>

#include "tests/emulator/block.h"
#include "tests/emulator/device_memory.h"

namespace emulator {

/// Counts as the runtime call cudaLaunchKernel. Throws Error when the kernel breaks a rule.
cudaError_t launch_blocks(Launch launch, cudaStream_t stream);

template <class Argument>
void check_argument(const char* kernel, int number, const Argument& argument) {
  if constexpr (std::is_pointer_v<Argument>) {
    check_device_pointer(kernel, number, argument);
  }
#if !defined(__clang__)
  else if constexpr (std::is_class_v<Argument>) {
    Argument copy = argument;
    __builtin_clear_padding(&copy);  // which may hold the remains of a host pointer
    check_words(kernel, number, &copy, sizeof copy);
  }
#endif
}

template <class... P, class... A>
cudaError_t launch(const char* name, Manner manner, void (*kernel)(P...), dim3 grid, dim3 block,
                   size_t dynamic_shared, cudaStream_t stream, A&&... arguments) {
  struct Pack {
    void (*kernel)(P...);
    std::tuple<P...> arguments;
  };
  // Copied now, as CUDA does: a captured launch keeps the values of its capture.
  const auto pack =
      std::make_shared<const Pack>(Pack{kernel, std::tuple<P...>(std::forward<A>(arguments)...)});
  int number = 0;
  std::apply([&](const P&... each) { (check_argument(name, ++number, each), ...); }, pack->arguments);
  const auto body = [](const void* p) {
    const auto& packed = *static_cast<const Pack*>(p);
    std::apply(packed.kernel, packed.arguments);
  };
  return launch_blocks({name, manner, grid, block, dynamic_shared, body, pack, 0}, stream);
}

}  // namespace emulator
