#pragma once
// How the CUDA schedules of batch norm read a matrix once where it fits on the chip: each block keeps its
// rows of a tile of channels in shared memory from the sums to the map. Parts and the order of their sums are
// those of the two passes, so the bits are theirs too, whichever of them a device's size calls for.
#include <algorithm>

#include "kernels/batch_norm_tiles.cuh"

namespace stopgrad::cuda::norm {

inline constexpr int kOnChipThreads = 512;

/// A block has tx * ty threads: tx of them side by side over P channels each, ty down the rows, several parts
/// at a time. `kept` rows stay for each row of the call: x, or x and dy.
struct OnChip {
  int part_rows, part_ty, parts;  // as Tiles has them; part_ty rows of threads share a part
  int tx, ty;
  int tiles, splits;  // blocks across the channels and down the rows; those of a tile wait for each other
  int rounds;         // a block takes its parts in
  int resident;       // groups on the chip at a time; 0: not even one fits
  int kept;
  int64_t slots;  // packs of a block for each kept row of a group
  size_t bytes;   // of dynamic shared memory

  OnChip(const Tiles& two_passes, int groups, int channels, int kept, const DeviceInfo& device)
      : part_rows(two_passes.part_rows),
        part_ty(two_passes.ty),
        parts(two_passes.parts),
        tx(std::min(2, two_passes.tx)),  // 32 bytes of a row, the least that memory moves
        kept(kept) {
    const int P = two_passes.per_thread, columns = static_cast<int>(divide_up(channels, P));
    while (tx < two_passes.tx && divide_up(columns, tx) > device.processors) tx *= 2;
    ty = kOnChipThreads / tx;
    tiles = static_cast<int>(divide_up(columns, tx));
    const int at_once = ty / part_ty, full = static_cast<int>(divide_up(parts, at_once));
    rounds = static_cast<int>(divide_up(full, std::clamp(device.processors / tiles, 1, full)));
    splits = static_cast<int>(divide_up(full, rounds));
    slots = int64_t{rounds} * (part_rows / part_ty) * kOnChipThreads;
    const size_t of_group = size_t(kept) * size_t(slots) * 16 + 2 * sizeof(float) * size_t(tx) * P;
    // The sums' tree lies in shared memory as well, and dynamic memory starts at a multiple of 1024 bytes.
    const size_t taken = 2 * sizeof(float) * size_t(P) * kOnChipThreads + 1024;
    const size_t room = device.shared > taken ? device.shared - taken : 0;
    resident = static_cast<int>(std::min(room / of_group, size_t(groups)));
    bytes = of_group * size_t(resident);
  }
  dim3 grid() const { return {static_cast<unsigned>(tiles), static_cast<unsigned>(splits), 1}; }
  dim3 block() const { return {static_cast<unsigned>(tx), static_cast<unsigned>(ty), 1}; }

  /// The part of this thread in a round; there may be no such part.
  __device__ __forceinline__ int part(int round) const {
    const int at_once = ty / part_ty;
    return (static_cast<int>(blockIdx.y) * rounds + round) * at_once +
           static_cast<int>(threadIdx.y) / part_ty;
  }
  /// Where this thread stands in its part.
  __device__ __forceinline__ int row() const { return static_cast<int>(threadIdx.y) % part_ty; }

  /// The rows of this thread in a round, four at once, as read_rows has it: read(at) and use(slot, at, row),
  /// where `at` is a row's offset in the group.
  template <class Read, class Use>
  __device__ __forceinline__ void for_each_row(int round, int rows, int channels, Read read, Use use) const {
    const int begin = part(round) * part_rows, end = min(rows, begin + part_rows), first = begin + row();
    const int slot = round * (part_rows / part_ty) * kOnChipThreads +
                     static_cast<int>(threadIdx.x + blockDim.x * threadIdx.y);
    const auto at = [&](int i) { return (int64_t{first} + int64_t{i} * part_ty) * channels; };
    read_rows<4>((end - first + part_ty - 1) / part_ty, 0, 1, [&](int i) { return read(at(i)); },
                 [&](int i, const auto& row) { use(slot + i * kOnChipThreads, at(i), row); });
  }
  /// The same where nothing of the device's memory is read: f(slot, at).
  template <class F>
  __device__ __forceinline__ void for_each_row(int round, int rows, int channels, F f) const {
    for_each_row(
        round, rows, channels, [](int64_t) { return 0; }, [&](int slot, int64_t at, int) { f(slot, at); });
  }
  /// The pack in a slot of the `which`-th kept row of a group.
  template <class T>
  __device__ __forceinline__ T* at(T* chip, int group, int which, int slot) const {
    return chip + (int64_t{group * kept + which} * slots + slot) * Pack<T>::size;
  }
  /// The `which`-th of two numbers for each channel of the tile.
  template <class T>
  __device__ __forceinline__ float* numbers(T* chip, int group, int which) const {
    float* const all = reinterpret_cast<float*>(at(chip, resident, 0, 0));
    return all + (2 * group + which) * tx * Pack<T>::size;
  }
  /// Every sum of every block of the tile is there.
  __device__ __forceinline__ void wait_for_blocks() const {
    if (splits > 1) grid_barrier();
  }
  /// f(channel, its place in the tile, whether this is the lane that writes), by a warp.
  template <int P, class F>
  __device__ __forceinline__ void for_each_channel(int channels, F f) const {
    const int thread = static_cast<int>(threadIdx.x + blockDim.x * threadIdx.y), warp = thread / 32;
    const int first = static_cast<int>(blockIdx.x) * tx * P;
    for (int i = warp; i < min(tx * P, channels - first); i += kOnChipThreads / 32)
      f(first + i, i, thread % 32 == 0);
  }
};

/// Launches a kernel of this plan: one block or several per tile.
#define LAUNCH_ON_CHIP(context, plan, kernel, ...)                                                \
  do {                                                                                            \
    if ((plan).splits > 1)                                                                        \
      LAUNCH_TOGETHER(context, kernel, (plan).grid(), (plan).block(), (plan).bytes, __VA_ARGS__); \
    else LAUNCH(context, kernel, (plan).grid(), (plan).block(), (plan).bytes, __VA_ARGS__);       \
  } while (false)

}  // namespace stopgrad::cuda::norm
