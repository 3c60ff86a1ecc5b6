#pragma once
// e^x without branches and calls, so that compilers vectorise loops over it. At most 2 units in the last
// place from the true value in float; 0, infinity and NaN as usual. Double takes the library's.
#include <bit>
#include <cmath>
#include <cstdint>

namespace stopgrad::cpu {

[[gnu::always_inline]] inline double exponential(double x) { return std::exp(x); }

/// a * b + c, fused where the target has an instruction for it; elsewhere the fused one would be a call.
[[gnu::always_inline]] inline float multiply_add(float a, float b, float c) {
#ifdef __FMA__
  return __builtin_fmaf(a, b, c);
#else
  return a * b + c;
#endif
}

[[gnu::always_inline]] inline float exponential(float x) {
  // e^x = 2^n e^r with |r| <= ln(2) / 2. Beyond the limits the result is infinite or 0.
  x = x < -104.0f ? -104.0f : x > 89.0f ? 89.0f : x;  // NaN stays
  // Adding 1.5 * 2^23 rounds to a whole number, which is left in the lower bits.
  constexpr float magic = 0x1.8p23f;
  const float shifted = multiply_add(x, 1.44269504f, magic), n = shifted - magic;
  const int32_t whole = std::bit_cast<int32_t>(shifted) - std::bit_cast<int32_t>(magic);
  // ln(2) in two parts, of which n times the first is exact (Cody and Waite 1980).
  const float r = multiply_add(n, 2.12194440e-4f, multiply_add(n, -0.693359375f, x));
  // (e^r - 1 - r) / r^2 with the smallest largest error, 3e-9 of e^r, found by weighted least squares.
  float p = 0.0013814538f;
  p = multiply_add(p, r, 0.0083687454f);
  p = multiply_add(p, r, 0.041668389f);
  p = multiply_add(p, r, 0.16666521f);
  p = multiply_add(p, r, 0.49999994f);
  const float y = 1 + multiply_add(r * r, p, r);
  // Two factors, since 2^n alone may be too small or too large for a float.
  const int32_t half = whole >> 1;
  const auto power = [](int32_t e) { return std::bit_cast<float>((e + 127) << 23); };
  return y * power(half) * power(whole - half);
}

}  // namespace stopgrad::cpu
