#pragma once
// What the CUDA schedules of losses over pairs (p, z) share: the cosine loss and the softmax similarity.
#include "kernels/rows.cuh"

namespace stopgrad::cuda::rows {

/// Whether all rows of p, z start where a pack may.
template <class T>
bool aligned_pairs(int pairs, const T* const* p, const T* const* z) {
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

template <class Call>
bool wants_gradient(const Call& call) {
  bool any = false;
  for (int k = 0; k < call.pairs; ++k) any = any || call.dp[k] || call.dz[k];
  return any;
}

}  // namespace stopgrad::cuda::rows
