#pragma once
// CUDA's built-in functions, as kernels call them.
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "tests/emulator/block.h"

#define threadIdx (::emulator::Block::current().thread->index)
#define blockIdx (::emulator::Block::current().index)
#define blockDim (::emulator::Block::current().launch->block)
#define gridDim (::emulator::Block::current().launch->grid)
inline constexpr int warpSize = 32;

namespace emulator {

template <class T>
uint64_t to_bits(T value) {
  static_assert(sizeof(T) <= sizeof(uint64_t) && std::is_trivially_copyable_v<T>);
  uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof value);
  return bits;
}
template <class T>
T from_bits(uint64_t bits) {
  T value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

/// The value of lane `source`, or the own one where the segment ends.
template <class T>
EMULATOR_UNWATCHED T shuffle(uint32_t mask, T value, int source, bool inside, Place place) {
  Block& block = Block::current();
  Meeting* const meeting = block.meet(WarpOperation::shuffle, mask, to_bits(value), place);
  if (inside && !(mask >> source & 1))
    block.stop("a shuffle reads a lane outside its mask, at " + to_string(place));
  const T out = inside ? from_bits<T>(meeting->value[source]) : value;
  block.leave(meeting);
  return out;
}

template <class T, class F>
EMULATOR_UNWATCHED T exchange(T* at, F change) {
  static_assert(sizeof(T) == 4 || sizeof(T) == 8);
  using Word = std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t>;
  auto* const word = reinterpret_cast<Word*>(at);
  Word old = __atomic_load_n(word, __ATOMIC_RELAXED), next;
  do next = std::bit_cast<Word>(change(std::bit_cast<T>(old)));
  while (!__atomic_compare_exchange_n(word, &old, next, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
  return std::bit_cast<T>(old);
}

inline int lane() { return Block::current().thread->lane; }

}  // namespace emulator

// The caller's line stands for the place where threads meet.
#define EMULATOR_PLACE const char *file = __builtin_FILE(), int line = __builtin_LINE()

inline void __syncthreads(EMULATOR_PLACE) { emulator::Block::current().barrier(false, {file, line}); }
/// kernels/gpu.h declares it for the GPU.
inline void grid_barrier(EMULATOR_PLACE) { emulator::Block::current().grid_barrier({file, line}); }
/// So is this one.
inline void await_previous_kernel(EMULATOR_PLACE) { emulator::Block::current().await_kernel({file, line}); }
inline int __syncthreads_count(int predicate, EMULATOR_PLACE) {
  return emulator::Block::current().barrier(predicate != 0, {file, line});
}
inline int __syncthreads_or(int predicate, EMULATOR_PLACE) {
  return emulator::Block::current().barrier(predicate != 0, {file, line}) != 0;
}
inline int __syncthreads_and(int predicate, EMULATOR_PLACE) {
  return emulator::Block::current().barrier(predicate == 0, {file, line}) == 0;
}
inline void __syncwarp(unsigned mask = ~0u, EMULATOR_PLACE) {
  auto& block = emulator::Block::current();
  block.leave(block.meet(emulator::WarpOperation::sync, mask, 0, {file, line}));
}
inline unsigned __ballot_sync(unsigned mask, int predicate, EMULATOR_PLACE) {
  auto& block = emulator::Block::current();
  auto* const meeting = block.meet(emulator::WarpOperation::vote, mask, predicate != 0, {file, line});
  unsigned votes = 0;
  for (int i = 0; i < 32; ++i)
    if (mask >> i & 1) votes |= static_cast<unsigned>(meeting->value[i]) << i;
  block.leave(meeting);
  return votes;
}
inline int __any_sync(unsigned mask, int predicate, EMULATOR_PLACE) {
  return __ballot_sync(mask, predicate, file, line) != 0;
}
inline int __all_sync(unsigned mask, int predicate, EMULATOR_PLACE) {
  return __ballot_sync(mask, predicate, file, line) == mask;
}
template <class T>
T __shfl_sync(unsigned mask, T value, int source, int width = 32, EMULATOR_PLACE) {
  const int first = emulator::lane() & ~(width - 1);
  return emulator::shuffle(mask, value, first | (source & (width - 1)), true, {file, line});
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int bits, int width = 32, EMULATOR_PLACE) {
  const int source = emulator::lane() ^ bits, end = (emulator::lane() & ~(width - 1)) + width;
  return emulator::shuffle(mask, value, source, source < end, {file, line});
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32, EMULATOR_PLACE) {
  const int source = emulator::lane() + static_cast<int>(delta),
            end = (emulator::lane() & ~(width - 1)) + width;
  return emulator::shuffle(mask, value, source, source < end, {file, line});
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32, EMULATOR_PLACE) {
  const int source = emulator::lane() - static_cast<int>(delta), first = emulator::lane() & ~(width - 1);
  return emulator::shuffle(mask, value, source, source >= first, {file, line});
}

/// ThreadSanitizer knows no fences: one is taken for a meeting of all at one tag. That orders more than the
/// real one does, so it hides a few races and invents none.
EMULATOR_UNWATCHED inline void __threadfence() {
  static char tag;
  emulator::release(&tag);
  emulator::acquire(&tag);
}
inline void __threadfence_block() { __threadfence(); }

template <class T>
T atomicAdd(T* at, std::type_identity_t<T> value) {
  return emulator::exchange(at, [=](T old) { return static_cast<T>(old + value); });
}
template <class T>
T atomicMax(T* at, std::type_identity_t<T> value) {
  return emulator::exchange(at, [=](T old) { return old > value ? old : value; });
}
template <class T>
T atomicMin(T* at, std::type_identity_t<T> value) {
  return emulator::exchange(at, [=](T old) { return old < value ? old : value; });
}
template <class T>
T atomicOr(T* at, std::type_identity_t<T> value) {
  return emulator::exchange(at, [=](T old) { return static_cast<T>(old | value); });
}
template <class T>
T atomicExch(T* at, std::type_identity_t<T> value) {
  return emulator::exchange(at, [=](T) { return value; });
}
template <class T>
T atomicCAS(T* at, std::type_identity_t<T> expected, std::type_identity_t<T> value) {
  return emulator::exchange(at, [=](T old) { return old == expected ? value : old; });
}
inline unsigned atomicInc(unsigned* at, unsigned limit) {
  return emulator::exchange(at, [=](unsigned old) { return old >= limit ? 0u : old + 1; });
}

template <class T>
T __ldg(const T* at) {
  return *at;
}
inline float rsqrtf(float x) { return 1.0f / std::sqrt(x); }
inline float __expf(float x) { return std::exp(x); }
inline float __logf(float x) { return std::log(x); }
inline float __fdividef(float a, float b) { return a / b; }
inline float __fmaf_rn(float a, float b, float c) { return std::fma(a, b, c); }
inline unsigned __umulhi(unsigned a, unsigned b) { return static_cast<unsigned>((uint64_t{a} * b) >> 32); }
inline int __popc(unsigned x) { return std::popcount(x); }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline int __clz(int x) { return std::countl_zero(static_cast<unsigned>(x)); }
using std::max;
using std::min;

#undef EMULATOR_PLACE
