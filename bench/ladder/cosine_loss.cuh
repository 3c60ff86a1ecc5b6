#pragma once
// What the versions of both cosine ladders share. Their problem: the symmetric loss of SimSiam, two pairs (p,
// z) of [rows, channels], whose targets z stand behind a wall.
#include "bench/ladder/ladder.h"
#include "kernels/cosine_loss.h"
#include "kernels/rows.cuh"

namespace stopgrad::ladder {

using namespace cuda;
using namespace cuda::rows;

/// p . p, z . z and p . z of one row by one thread.
template <class T>
__device__ __forceinline__ void dots_of_row(const T* p, const T* z, int channels, float (&dots)[3]) {
  for (int i = 0; i < channels; ++i) {
    const float u = to_float(p[i]), v = to_float(z[i]);
    dots[0] = fmaf(u, u, dots[0]);
    dots[1] = fmaf(v, v, dots[1]);
    dots[2] = fmaf(u, v, dots[2]);
  }
}

/// The same by a team, lane beside lane, P elements each; the same sums in every thread of it.
template <int P, bool wide, class T>
__device__ __forceinline__ void dots_of_team(const Team<wide, P>& team, const T* p, const T* z, int channels,
                                             float (&dots)[3]) {
#pragma unroll 2
  for (int i = team.first; i < channels; i += team.step) {
    float u[P], v[P];
    load<P>(p + i, u);
    load<P>(z + i, v);
#pragma unroll
    for (int k = 0; k < P; ++k) {
      dots[0] = fmaf(u[k], u[k], dots[0]);
      dots[1] = fmaf(v[k], v[k], dots[1]);
      dots[2] = fmaf(u[k], v[k], dots[2]);
    }
  }
  sum<wide>(dots);
}

/// What backward needs of a row: 1 / |p|, 1 / |z| and the cosine.
struct Saved {
  float inv_p, inv_z, cosine;

  __device__ explicit Saved(const float (&dots)[3])
      : inv_p(inverse_norm(dots[0])), inv_z(inverse_norm(dots[1])), cosine(dots[2] * inv_p * inv_z) {}
  __device__ explicit Saved(const float* at) : inv_p(at[0]), inv_z(at[1]), cosine(at[2]) {}
  __device__ void put(float* at) const {
    at[0] = inv_p;
    at[1] = inv_z;
    at[2] = cosine;
  }
};

/// du = along_v v + along_u u: the gradient -c (v^ - cosine u^) / |u|. Below the floor of |u| there is no
/// part along u.
struct Slopes {
  float along_v, along_u;

  __device__ Slopes(float inv_u, float inv_v, float cosine, float c)
      : along_v(-c * inv_u * inv_v), along_u(is_floored(inv_u) ? 0 : c * inv_u * inv_u * cosine) {}
};

/// Calls f with the elements per thread as a type: 16 bytes where rows and addresses allow it, else 1.
template <class T, class F>
void with_row_packs(int channels, bool all_aligned, F f) {
  if (channels % Pack<T>::size == 0 && all_aligned) f(std::integral_constant<int, Pack<T>::size>());
  else f(std::integral_constant<int, 1>());
}

}  // namespace stopgrad::ladder
