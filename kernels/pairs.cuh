#pragma once
// What the CUDA schedules of losses over pairs (p, z) share: the cosine loss and the softmax similarity.
#include "kernels/cosine_loss.h"
#include "kernels/rows.cuh"

namespace stopgrad::cuda::rows {

/// Whether all rows of p, z start where a pack may.
template <class Pointer>
bool aligned_pairs(int pairs, const Pointer (&p)[kMaxPairs], const Pointer (&z)[kMaxPairs]) {
  bool all = true;
  for (int k = 0; k < pairs; ++k) all = all && aligned(p[k]) && aligned(z[k]);
  return all;
}

/// How many pairs of gradients may be written side by side: all, or one where two of them share memory, since
/// then a thread writes its elements of all pairs in turn.
template <class Call>
unsigned pairs_at_once(const Call& call) {
  for (int k = 0; k < call.pairs; ++k)
    for (int j = 0; j < k; ++j)
      for (const auto* mine : {call.dp[k], call.dz[k]})
        if (mine && (mine == call.dp[j] || mine == call.dz[j])) return 1;
  return static_cast<unsigned>(call.pairs);
}

/// Calls f(grid, P, wide) for a kernel whose teams own a row of a pair of the forward call.
template <class T, class Call, class F>
void for_pairs(const Call& call, F f) {
  choose<T>(aligned_pairs(call.pairs, call.p, call.z), call.channels, [&](auto P, auto wide) {
    f(dim3(blocks(call.rows, wide), static_cast<unsigned>(call.pairs)), P, wide);
  });
}

/// The same for the backward call; not at all if nobody wants a gradient.
template <class T, class Call, class F>
void for_pairs_backward(const Call& call, F f) {
  bool any = false;
  for (int k = 0; k < call.pairs; ++k) any = any || call.dp[k] || call.dz[k];
  if (!any) return;
  const bool whole = aligned_pairs(call.pairs, call.p, call.z) && aligned_pairs(call.pairs, call.dp, call.dz);
  choose<T>(whole, call.channels,
            [&](auto P, auto wide) { f(dim3(blocks(call.rows, wide), pairs_at_once(call)), P, wide); });
}

}  // namespace stopgrad::cuda::rows
