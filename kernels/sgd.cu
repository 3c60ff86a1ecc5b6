#include "kernels/sgd.h"

#include "kernels/elementwise.cuh"

namespace stopgrad::cuda {

namespace {

template <class T>
struct SgdStepMap {
  static constexpr int inputs = 3;
  SgdStep<T> c;

  template <int P>
  __device__ __forceinline__ void load(int64_t at, float (&in)[inputs][P]) const {
    cuda::load<P>(c.gradient + at, in[0]);
    cuda::load<P>(c.momentum_buffer + at, in[1]);
    cuda::load<P>(c.value + at, in[2]);
  }
  template <int P>
  __device__ __forceinline__ void store(int64_t at, const float (&in)[inputs][P]) const {
    const float rate = *c.rate;
    float m[P], w[P];
#pragma unroll
    for (int k = 0; k < P; ++k) {
      const float g = in[0][k] + c.decay * in[2][k];
      m[k] = c.momentum * in[1][k] + g;
      w[k] = in[2][k] - rate * m[k];
    }
    cuda::store<P>(c.momentum_buffer + at, m);
    cuda::store<P>(c.value + at, w);
    if (c.compute) cuda::store<P>(c.compute + at, w);
  }
};

struct MovingAverageMap {
  static constexpr int inputs = 2;
  MovingAverage<float> c;
  float rest;  // 1 - momentum

  template <int P>
  __device__ __forceinline__ void load(int64_t at, float (&in)[inputs][P]) const {
    cuda::load<P>(c.source + at, in[0]);
    cuda::load<P>(c.target + at, in[1]);
  }
  template <int P>
  __device__ __forceinline__ void store(int64_t at, const float (&in)[inputs][P]) const {
    float target[P];
#pragma unroll
    for (int k = 0; k < P; ++k) target[k] = c.momentum * in[1][k] + rest * in[0][k];
    cuda::store<P>(c.target + at, target);
  }
};

}  // namespace

template <class T>
void run(const SgdStep<T>& c, Context& context) {
  const bool whole =
      aligned(c.gradient) && aligned(c.momentum_buffer) && aligned(c.value) && aligned(c.compute);
  run_map<Pack<float>::size>(SgdStepMap<T>{c}, c.count, whole, context);
}

template <class T>
void run(const MovingAverage<T>& c, Context& context) {
  run_map<Pack<T>::size>(MovingAverageMap{c, 1 - c.momentum}, c.count, aligned(c.source) && aligned(c.target),
                         context);
}

template void run(const SgdStep<float>&, Context&);
template void run(const SgdStep<bf16>&, Context&);
template void run(const MovingAverage<float>&, Context&);

}  // namespace stopgrad::cuda
