#pragma once
// What the CUDA schedules share inside kernels: 16-byte accesses, elements as float, sums over a block.
#include "kernels/dtype.h"
#include "kernels/gpu.h"

namespace stopgrad::cuda {

inline constexpr unsigned kAllLanes = 0xffffffffu;

__device__ __forceinline__ float to_float(float x) { return x; }
__device__ __forceinline__ float to_float(bf16 x) { return static_cast<float>(x); }
template <class T>
__device__ __forceinline__ T from_float(float x) {
  return T(x);
}

/// N elements of T, 16 bytes of them unless told, moved by one instruction. Addresses must be multiples of
/// its size.
template <class T, int N = 16 / sizeof(T)>
struct alignas(N * sizeof(T)) Pack {
  static constexpr int size = N;
  T v[size];
};

template <int P, class T>
__device__ __forceinline__ Pack<T, P> pack_at(const T* at) {
  return *reinterpret_cast<const Pack<T, P>*>(at);
}
template <int P, class T>
__device__ __forceinline__ void put_pack(T* at, const Pack<T, P>& pack) {
  *reinterpret_cast<Pack<T, P>*>(at) = pack;
}
template <int P, class T>
__device__ __forceinline__ void unpack(const Pack<T, P>& pack, float (&out)[P]) {
#pragma unroll
  for (int k = 0; k < P; ++k) out[k] = to_float(pack.v[k]);
}

/// P elements of a row, as float: by moves of at most 16 bytes.
template <int P, class T>
__device__ __forceinline__ void load(const T* at, float (&out)[P]) {
  constexpr int size = P < Pack<T>::size ? P : Pack<T>::size;
#pragma unroll
  for (int i = 0; i < P; i += size) {
    const auto pack = *reinterpret_cast<const Pack<T, size>*>(at + i);
#pragma unroll
    for (int k = 0; k < size; ++k) out[i + k] = to_float(pack.v[k]);
  }
}

template <int P, class T>
__device__ __forceinline__ void store(T* at, const float (&value)[P]) {
  constexpr int size = P < Pack<T>::size ? P : Pack<T>::size;
#pragma unroll
  for (int i = 0; i < P; i += size) {
    Pack<T, size> pack;
#pragma unroll
    for (int k = 0; k < size; ++k) pack.v[k] = from_float<T>(value[i + k]);
    *reinterpret_cast<Pack<T, size>*>(at + i) = pack;
  }
}

/// P elements of an output row: set, or added to.
template <int P, class T>
__device__ __forceinline__ void put(T* at, float (&value)[P], bool accumulate) {
  if (accumulate) {
    float old[P];
    load<P>(at, old);
#pragma unroll
    for (int k = 0; k < P; ++k) value[k] = old[k] + value[k];
  }
  store<P>(at, value);
}

/// `count` rows or packs, `stride` apart: read(i) of `at_once` of them before use(i, what was read) of the
/// first. The compiler leaves a read behind the write above it, which might be to the same place, and a
/// thread would have one row under way.
template <int at_once, class I, class Read, class Use>
__device__ __forceinline__ void read_rows(int count, I i, I stride, Read read, Use use) {
#pragma unroll 1  // more rows at a time would take registers and gain nothing
  for (; count >= at_once; count -= at_once, i += at_once * stride) {
    decltype(read(i)) row[at_once];
#pragma unroll
    for (int k = 0; k < at_once; ++k) row[k] = read(i + k * stride);
#pragma unroll
    for (int k = 0; k < at_once; ++k) use(i + k * stride, row[k]);
  }
#pragma unroll 1
  for (; count > 0; --count, i += stride) use(i, read(i));
}

inline bool aligned(const void* at) { return reinterpret_cast<size_t>(at) % 16 == 0; }  // null too

/// p = value, or p += value.
template <class T>
__device__ __forceinline__ void put(T* p, float value, bool accumulate) {
  *p = from_float<T>(accumulate ? to_float(*p) + value : value);
}

__host__ __device__ constexpr int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }
inline unsigned blocks_for(int64_t count, int64_t per_block, int64_t most = 0x7fffffff) {
  const int64_t wanted = divide_up(count, per_block);
  return static_cast<unsigned>(wanted < 1 ? 1 : wanted < most ? wanted : most);
}

/// Sum over the lanes of a warp, the same in every lane: a butterfly, in an order that depends on nothing.
template <class A>
__device__ __forceinline__ A warp_sum(A value) {
#pragma unroll
  for (int half = 16; half > 0; half /= 2) value += __shfl_xor_sync(kAllLanes, value, half);
  return value;
}

/// Sums of N numbers over a block of whole warps, at most 1024 threads; the same in every thread.
template <int N, class A>
__device__ __forceinline__ void block_sum(A (&value)[N]) {
  SHARED(A, partial, [32][N]);
  const int thread = static_cast<int>(threadIdx.x + blockDim.x * threadIdx.y);
  const int lane = thread % 32, warp = thread / 32, warps = static_cast<int>(blockDim.x * blockDim.y) / 32;
#pragma unroll
  for (int k = 0; k < N; ++k) value[k] = warp_sum(value[k]);
  if (lane == 0)
#pragma unroll
    for (int k = 0; k < N; ++k) partial[warp][k] = value[k];
  __syncthreads();
#pragma unroll
  for (int k = 0; k < N; ++k) value[k] = warp_sum(lane < warps ? partial[lane][k] : A(0));
  __syncthreads();  // the next use writes `partial` again
}

}  // namespace stopgrad::cuda
