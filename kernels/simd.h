#pragma once
// Vectors of one register of the target, for the few inner loops that compilers do not vectorise well.
#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <type_traits>

#if defined(__SSE2__)
#include <immintrin.h>
#endif

#include "kernels/dtype.h"

namespace stopgrad::cpu {

#if defined(__AVX512F__)
inline constexpr int kVectorBytes = 64;
inline constexpr int kVectorRegisters = 32;
#elif defined(__AVX__)
inline constexpr int kVectorBytes = 32;
inline constexpr int kVectorRegisters = 16;
#else
inline constexpr int kVectorBytes = 16;
inline constexpr int kVectorRegisters = 16;
#endif

template <class A>
struct VectorOf {
  typedef A type __attribute__((vector_size(kVectorBytes)));
};
template <class A>
using Vector = typename VectorOf<A>::type;
template <class A>
inline constexpr int kLanes = kVectorBytes / static_cast<int>(sizeof(A));

template <class A>
inline Vector<A> load(const A* from) {
  Vector<A> v;
  std::memcpy(&v, from, sizeof(v));
  return v;
}
template <class A>
inline void store(A* to, const Vector<A>& v) {
  std::memcpy(to, &v, sizeof(v));
}

/// What a register of the type of sums takes in memory as T: itself, or half of it for bf16.
template <class T>
struct PackedOf {
  typedef T type __attribute__((vector_size(kVectorBytes)));
};
template <>
struct PackedOf<bf16> {
  typedef uint16_t type __attribute__((vector_size(kVectorBytes / 2)));
};
template <class T>
using Packed = typename PackedOf<T>::type;

/// Between 16 and 32 bits. By name where there is an instruction: GCC 12 makes many of a conversion.
inline Vector<uint32_t> extend(const Packed<bf16>& v) {
#if defined(__AVX512F__)
  return std::bit_cast<Vector<uint32_t>>(_mm512_maskz_cvtepu16_epi32(0xffff, std::bit_cast<__m256i>(v)));
#elif defined(__AVX2__)
  return std::bit_cast<Vector<uint32_t>>(_mm256_cvtepu16_epi32(std::bit_cast<__m128i>(v)));
#else
  return __builtin_convertvector(v, Vector<uint32_t>);
#endif
}
inline Packed<bf16> truncate(const Vector<uint32_t>& v) {
#if defined(__AVX512F__)
  return std::bit_cast<Packed<bf16>>(_mm512_maskz_cvtepi32_epi16(0xffff, std::bit_cast<__m512i>(v)));
#elif defined(__AVX2__)
  const __m256i halves = _mm256_packus_epi32(std::bit_cast<__m256i>(v), std::bit_cast<__m256i>(v));
  return std::bit_cast<Packed<bf16>>(_mm256_castsi256_si128(_mm256_permute4x64_epi64(halves, 0b1000)));
#else
  return __builtin_convertvector(v, Packed<bf16>);
#endif
}

/// As bf16's constructor and its cast to float, element by element; but AVX512_BF16 rounds subnormals to
/// zero.
template <class T>
inline Vector<Acc<T>> widen(const Packed<T>& v) {
  if constexpr (!std::is_same_v<T, bf16>) return v;
  else return std::bit_cast<Vector<float>>(extend(v) << 16);
}
template <class T>
inline Packed<T> narrow(const Vector<Acc<T>>& v) {
  if constexpr (!std::is_same_v<T, bf16>) {
    return v;
  } else {
#if defined(__AVX512BF16__)
    return std::bit_cast<Packed<bf16>>(_mm512_cvtneps_pbh(std::bit_cast<__m512>(v)));
#endif
    const auto u = std::bit_cast<Vector<uint32_t>>(v);
    const Vector<uint32_t> rounded = (u + 0x7fffu + ((u >> 16) & 1u)) >> 16, quiet = (u >> 16) | 0x40u;
    return truncate((u & 0x7fffffffu) > 0x7f800000u ? quiet : rounded);
  }
}

/// A register of elements of T in the type of sums.
template <class T>
inline Vector<Acc<T>> load_wide(const T* from) {
  Packed<T> v;
  std::memcpy(&v, from, sizeof(v));
  return widen<T>(v);
}
template <class T>
inline void store_narrow(T* to, const Vector<Acc<T>>& v) {
  const Packed<T> packed = narrow<T>(v);
  std::memcpy(static_cast<void*>(to), &packed, sizeof(packed));
}

/// Stores past the caches, where the target can: lines are neither read first nor kept. `to` is aligned to
/// what is stored. Before another thread reads them, fence_streams().
template <class T>
inline void stream_narrow(T* to, const Vector<Acc<T>>& v) {
  const Packed<T> packed = narrow<T>(v);
#if defined(__AVX512F__)
  if constexpr (sizeof(packed) == 64)
    return _mm512_stream_si512(reinterpret_cast<__m512i*>(to), std::bit_cast<__m512i>(packed));
#endif
#if defined(__AVX__)
  if constexpr (sizeof(packed) == 32)
    return _mm256_stream_si256(reinterpret_cast<__m256i*>(to), std::bit_cast<__m256i>(packed));
#endif
#if defined(__SSE2__)
  if constexpr (sizeof(packed) == 16)
    return _mm_stream_si128(reinterpret_cast<__m128i*>(to), std::bit_cast<__m128i>(packed));
#endif
  std::memcpy(static_cast<void*>(to), &packed, sizeof(packed));
}
inline void fence_streams() {
#if defined(__SSE2__)
  _mm_sfence();
#endif
}

}  // namespace stopgrad::cpu
