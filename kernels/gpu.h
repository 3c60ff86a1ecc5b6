#pragma once
// The one header of CUDA that kernel sources include, on the GPU and in the emulator alike. What kernels keep
// to so that both run them is listed in docs/cuda.md.
#include "kernels/cuda_context.h"

#if defined(STOPGRAD_EMULATE)
#include "tests/emulator/emulator.h"

/// A variable shared by the threads of a block: SHARED(float, tile, [8][33]);
#define SHARED(T, name, ...)                      \
  using name##_type = T __VA_ARGS__;              \
  static const char name##_key = 0;               \
  name##_type& name = *static_cast<name##_type*>( \
      ::emulator::Block::current().shared(&name##_key, sizeof(name##_type), alignof(name##_type), #name))
/// Shared memory whose size the launch gives.
#define DYNAMIC_SHARED(T, name) T* name = static_cast<T*>(::emulator::Block::current().dynamic_shared())

namespace stopgrad::cuda {
using ::await_previous_kernel;
using ::grid_barrier;
template <class... P, class... A>
int launch_kernel(Context& context, const char* name, bool together, void (*kernel)(P...), dim3 grid,
                  dim3 block, size_t shared, A&&... arguments) {
  const Context::Turn turn = context.next_kernel(together);
  return emulator::launch(name, {together, context.overlap, turn.overlaps}, kernel, grid, block, shared,
                          turn.stream, std::forward<A>(arguments)...);
}
}  // namespace stopgrad::cuda

#else
#include <cooperative_groups.h>
#include <cuda_runtime.h>

#include <utility>

#define SHARED(T, name, ...) __shared__ T name __VA_ARGS__
#define DYNAMIC_SHARED(T, name)                                     \
  extern __shared__ __align__(1024) unsigned char dynamic_shared[]; \
  T* name = reinterpret_cast<T*>(dynamic_shared)

namespace stopgrad::cuda {
/// The first line of every kernel: one that is launched to overlap may run before the kernel before it has
/// ended, and must see and touch no memory until then. Costs nothing in others.
__device__ __forceinline__ void await_previous_kernel() {
#if __CUDA_ARCH__ >= 900
  cudaGridDependencySynchronize();
#endif
}

/// Every thread of every block waits here for all the others, and sees what they wrote. Only in kernels that
/// LAUNCH_TOGETHER started.
__device__ __forceinline__ void grid_barrier() { cooperative_groups::this_grid().sync(); }

/// Whether the code that the device takes for this kernel has the wait: code for 9.0 and later.
template <class... P>
bool can_await(void (*kernel)(P...)) {
  cudaFuncAttributes found{};
  return cudaFuncGetAttributes(&found, kernel) == cudaSuccess && found.ptxVersion >= 90;
}

template <class... P, class... A>
int launch_kernel(Context& context, const char*, bool together, void (*kernel)(P...), dim3 grid, dim3 block,
                  size_t shared, A&&... arguments) {
  const Context::Turn turn = context.next_kernel(together);
  if (shared > 0) {  // with the static variables, more than 48 KiB must be asked for
    const auto error =
        cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel),
                             cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shared));
    if (error != cudaSuccess) return error;
  }
  cudaLaunchConfig_t config{};
  config.gridDim = grid;
  config.blockDim = block;
  config.dynamicSmemBytes = shared;
  config.stream = turn.stream;
  cudaLaunchAttribute manner{};
  config.attrs = &manner;
  if (together) {
    manner.id = cudaLaunchAttributeCooperative;
    manner.val.cooperative = 1;
    config.numAttrs = 1;
  } else if (turn.overlaps && can_await(kernel)) {
    manner.id = cudaLaunchAttributeProgrammaticStreamSerialization;
    manner.val.programmaticStreamSerializationAllowed = 1;
    config.numAttrs = 1;
  }
  return cudaLaunchKernelEx(&config, kernel, std::forward<A>(arguments)...);
}
}  // namespace stopgrad::cuda
#endif

/// LAUNCH(context, (kernel<float, 8>), grid, block, shared_bytes, arguments...): parentheses round a kernel
/// whose name holds commas. Throws as Context::check does.
#define LAUNCH(context, kernel, ...) \
  (context).check(::stopgrad::cuda::launch_kernel(context, #kernel, false, kernel, __VA_ARGS__), #kernel)
/// The same for blocks that wait for each other: a cooperative launch, of at most one block per processor.
#define LAUNCH_TOGETHER(context, kernel, ...) \
  (context).check(::stopgrad::cuda::launch_kernel(context, #kernel, true, kernel, __VA_ARGS__), #kernel)
