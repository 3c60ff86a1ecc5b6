#include "kernels/elementwise.h"

#include "kernels/elementwise.cuh"

namespace stopgrad::cuda {

namespace {

template <class T>
struct AddMap {
  static constexpr int inputs = 2;
  Add<T> c;

  template <int P>
  __device__ __forceinline__ void load(int64_t at, float (&in)[inputs][P]) const {
    cuda::load<P>(c.a + at, in[0]);
    cuda::load<P>(c.b + at, in[1]);
  }
  template <int P>
  __device__ __forceinline__ void store(int64_t at, const float (&in)[inputs][P]) const {
    float y[P];
#pragma unroll
    for (int k = 0; k < P; ++k) y[k] = in[0][k] + in[1][k];
    cuda::store<P>(c.y + at, y);
  }
};

template <class T>
struct ScaleMap {
  static constexpr int inputs = 2;  // x, and y when it accumulates
  Scale<T> c;

  template <int P>
  __device__ __forceinline__ void load(int64_t at, float (&in)[inputs][P]) const {
    cuda::load<P>(c.x + at, in[0]);
    if (c.accumulate) cuda::load<P>(c.y + at, in[1]);
  }
  template <int P>
  __device__ __forceinline__ void store(int64_t at, const float (&in)[inputs][P]) const {
    float y[P];
#pragma unroll
    for (int k = 0; k < P; ++k) {
      y[k] = c.scale * in[0][k];
      if (c.accumulate) y[k] = in[1][k] + y[k];
    }
    cuda::store<P>(c.y + at, y);
  }
};

template <class T>
struct ReluForwardMap {
  static constexpr int inputs = 1;
  ReluForward<T> c;

  template <int P>
  __device__ __forceinline__ void load(int64_t at, float (&in)[inputs][P]) const {
    cuda::load<P>(c.x + at, in[0]);
  }
  template <int P>
  __device__ __forceinline__ void store(int64_t at, const float (&in)[inputs][P]) const {
    float y[P];
#pragma unroll
    for (int k = 0; k < P; ++k) y[k] = in[0][k] <= 0 ? 0 : in[0][k];  // this way round, NaN stays NaN
    cuda::store<P>(c.y + at, y);
  }
};

template <class T>
struct ReluBackwardMap {
  static constexpr int inputs = 3;  // dy, y, and dx when it accumulates
  ReluBackward<T> c;

  template <int P>
  __device__ __forceinline__ void load(int64_t at, float (&in)[inputs][P]) const {
    cuda::load<P>(c.dy + at, in[0]);
    cuda::load<P>(c.y + at, in[1]);
    if (c.accumulate) cuda::load<P>(c.dx + at, in[2]);
  }
  template <int P>
  __device__ __forceinline__ void store(int64_t at, const float (&in)[inputs][P]) const {
    float dx[P];
#pragma unroll
    for (int k = 0; k < P; ++k) {
      dx[k] = in[1][k] > 0 ? in[0][k] : 0;
      if (c.accumulate) dx[k] = in[2][k] + dx[k];
    }
    cuda::store<P>(c.dx + at, dx);
  }
};

template <class From, class To>
struct CastMap {
  static constexpr int inputs = 1;
  Cast<From, To> c;

  template <int P>
  __device__ __forceinline__ void load(int64_t at, float (&in)[inputs][P]) const {
    cuda::load<P>(c.x + at, in[0]);
  }
  template <int P>
  __device__ __forceinline__ void store(int64_t at, const float (&in)[inputs][P]) const {
    cuda::store<P>(c.y + at, in[0]);
  }
};

template <class T>
struct FillMap {
  static constexpr int inputs = 1;  // not read
  Fill<T> c;

  template <int P>
  __device__ __forceinline__ void load(int64_t, float (&)[inputs][P]) const {}
  template <int P>
  __device__ __forceinline__ void store(int64_t at, const float (&)[inputs][P]) const {
    Pack<T, P> pack;
#pragma unroll
    for (int k = 0; k < P; ++k) pack.v[k] = c.value;  // its own bits, also those of a NaN
    *reinterpret_cast<Pack<T, P>*>(c.y + at) = pack;
  }
};

}  // namespace

template <class T>
void run(const Add<T>& c, Context& context) {
  const bool whole = aligned(c.a) && aligned(c.b) && aligned(c.y);
  run_map<Pack<T>::size>(AddMap<T>{c}, c.count, whole, context);
}

template <class T>
void run(const Scale<T>& c, Context& context) {
  run_map<Pack<T>::size>(ScaleMap<T>{c}, c.count, aligned(c.x) && aligned(c.y), context);
}

template <class T>
void run(const ReluForward<T>& c, Context& context) {
  run_map<Pack<T>::size>(ReluForwardMap<T>{c}, c.count, aligned(c.x) && aligned(c.y), context);
}

template <class T>
void run(const ReluBackward<T>& c, Context& context) {
  const bool whole = aligned(c.dy) && aligned(c.y) && aligned(c.dx);
  run_map<Pack<T>::size>(ReluBackwardMap<T>{c}, c.count, whole, context);
}

template <class From, class To>
void run(const Cast<From, To>& c, Context& context) {
  constexpr int P = 16 / (sizeof(From) > sizeof(To) ? sizeof(From) : sizeof(To));
  run_map<P>(CastMap<From, To>{c}, c.count, aligned(c.x) && aligned(c.y), context);
}

template <class T>
void run(const Fill<T>& c, Context& context) {
  run_map<Pack<T>::size>(FillMap<T>{c}, c.count, aligned(c.y), context);
}

template void run(const Add<float>&, Context&);
template void run(const Add<bf16>&, Context&);
template void run(const Scale<float>&, Context&);
template void run(const Scale<bf16>&, Context&);
template void run(const ReluForward<float>&, Context&);
template void run(const ReluForward<bf16>&, Context&);
template void run(const ReluBackward<float>&, Context&);
template void run(const ReluBackward<bf16>&, Context&);
template void run(const Cast<float, bf16>&, Context&);
template void run(const Cast<bf16, float>&, Context&);
template void run(const Fill<float>&, Context&);
template void run(const Fill<bf16>&, Context&);

}  // namespace stopgrad::cuda
