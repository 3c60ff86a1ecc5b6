#pragma once
// Marks functions that run on both sides of a CUDA build.

#if defined(__CUDACC__)
#define STOPGRAD_HOST_DEVICE __host__ __device__
#else
#define STOPGRAD_HOST_DEVICE
#endif
