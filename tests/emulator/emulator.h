#pragma once
// Runs the project's .cu sources on a processor, thread for thread, in plain C++20: kernels/gpu.h includes
// this instead of CUDA's own headers in the preset `emulate`. See README.md in this folder.
#if defined(__CUDACC__)
#error "the emulator is for host compilers; nvcc has the real thing"
#endif
// CUDA's host_defines.h keeps these words if they are set before it.
#define __global__
#define __device__
#define __host__
#define __constant__ static
#include <vector_functions.h>
#include <vector_types.h>
#undef __launch_bounds__
#define __launch_bounds__(...)
#undef __forceinline__
#define __forceinline__ inline __attribute__((always_inline))
#undef __shared__
#define __shared__ static_assert(false, "use SHARED(T, name, [n]) or DYNAMIC_SHARED(T, name)");

#include "tests/emulator/intrinsics.h"
#include "tests/emulator/launch.h"
