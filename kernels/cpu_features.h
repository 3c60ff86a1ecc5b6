#pragma once
// What this processor, and the library built in, do fast.

namespace stopgrad::cpu {

/// Whether bf16 is faster than float here: products of bf16 in hardware (AVX512_BF16 or AMX), used by oneDNN.
/// Elsewhere bf16 is as correct but slower than float.
bool bf16_is_fast_here();

/// Throws Exit::config where bf16 is not fast: for whoever reads a wish for bf16 from a user.
void require_fast_bf16();

}  // namespace stopgrad::cpu
