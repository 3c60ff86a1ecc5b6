#pragma once
// What the CUDA schedules of max pooling share: how pixels and channels are dealt to threads.
#include "kernels/check.h"
#include "kernels/cuda_support.cuh"
#include "kernels/pool.h"

namespace stopgrad::cuda::pool {

inline constexpr int kThreads = 256;

/// A block is tx threads over P channels each and ty over the pixels of one image.
struct Tiles {
  int tx = 1, ty = 1;
  int channel_blocks, pixel_blocks;  // of an image

  Tiles(int pixels, int channels, int per_thread) {
    const auto packs = static_cast<int>(divide_up(channels, per_thread));
    while (tx < 32 && tx < packs) tx *= 2;
    while (tx * ty < 32 || (tx * ty < kThreads && ty < pixels)) ty *= 2;
    channel_blocks = static_cast<int>(divide_up(packs, tx));
    pixel_blocks = static_cast<int>(divide_up(pixels, ty));
  }
  dim3 grid(int images) const {
    return {static_cast<unsigned>(images) * pixel_blocks, static_cast<unsigned>(channel_blocks), 1};
  }
  dim3 block() const { return {static_cast<unsigned>(tx), static_cast<unsigned>(ty), 1}; }
};

/// Where a thread stands in a kernel launched with Tiles.
struct Place {
  int image, pixel, channel;  // the first of P

  __device__ Place(int pixel_blocks, int per_thread)
      : image(static_cast<int>(blockIdx.x) / pixel_blocks),
        pixel(static_cast<int>((blockIdx.x - image * pixel_blocks) * blockDim.y + threadIdx.y)),
        channel(static_cast<int>(blockIdx.y * blockDim.x + threadIdx.x) * per_thread) {}
};

}  // namespace stopgrad::cuda::pool
