#pragma once
// Element types. Activations are T in {float, bf16, double}; sums, statistics and master weights are Acc<T>.
#include <bit>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "kernels/host_device.h"

namespace stopgrad {

enum class DType : uint8_t { f32, bf16, f64, u8, i32, i64 };

/// bfloat16: the upper half of a float, rounded to nearest even. NaN stays NaN.
struct bf16 {
  uint16_t bits = 0;

  bf16() = default;
  STOPGRAD_HOST_DEVICE explicit bf16(float value) {
#if defined(__CUDA_ARCH__)
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(bits) : "f"(value));
#else
    const auto u = std::bit_cast<uint32_t>(value);
    const uint32_t rounded = (u + 0x7fffu + ((u >> 16) & 1u)) >> 16;
    bits = static_cast<uint16_t>((u & 0x7fffffffu) > 0x7f800000u ? (u >> 16) | 0x40u : rounded);
#endif
  }
  STOPGRAD_HOST_DEVICE explicit operator float() const {
    return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
  }
};

/// The type in which sums over T are kept: double for double, float for float and bf16.
template <class T>
using Acc = std::conditional_t<std::is_same_v<T, double>, double, float>;

template <class T>
struct DTypeOf;
template <>
struct DTypeOf<float> {
  static constexpr DType value = DType::f32;
};
template <>
struct DTypeOf<bf16> {
  static constexpr DType value = DType::bf16;
};
template <>
struct DTypeOf<double> {
  static constexpr DType value = DType::f64;
};
template <>
struct DTypeOf<uint8_t> {
  static constexpr DType value = DType::u8;
};
template <>
struct DTypeOf<int32_t> {
  static constexpr DType value = DType::i32;
};
template <>
struct DTypeOf<int64_t> {
  static constexpr DType value = DType::i64;
};
template <class T>
inline constexpr DType dtype_of = DTypeOf<T>::value;

constexpr size_t size_of(DType type) {
  switch (type) {
    case DType::f32:
    case DType::i32:
      return 4;
    case DType::bf16:
      return 2;
    case DType::f64:
    case DType::i64:
      return 8;
    case DType::u8:
      return 1;
  }
  return 0;
}

constexpr const char* name_of(DType type) {
  switch (type) {
    case DType::f32:
      return "float32";
    case DType::bf16:
      return "bfloat16";
    case DType::f64:
      return "float64";
    case DType::u8:
      return "uint8";
    case DType::i32:
      return "int32";
    case DType::i64:
      return "int64";
  }
  return "?";
}

/// The type of sums that goes with an activation type.
constexpr DType acc_of(DType type) { return type == DType::f64 ? DType::f64 : DType::f32; }

/// Calls f(T{}) with the activation type that `type` names: the one switch between a tag and a template.
template <class F>
decltype(auto) visit_float(DType type, F&& f) {
  switch (type) {
    case DType::bf16:
      return f(bf16{});
    case DType::f64:
      return f(double{});
    default:
      return f(float{});
  }
}

}  // namespace stopgrad
