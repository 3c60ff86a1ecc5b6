#include "kernels/normalize.h"

#include "kernels/rows.cuh"

namespace stopgrad::cuda {

using namespace rows;

namespace {

/// Reads a row twice; the second time it is in the first cache.
template <class T, int P, bool wide>
__global__ void __launch_bounds__(kThreads, kMinBlocks) normalize_forward(NormalizeForward<T> call) {
  await_previous_kernel();
  const Team<wide, P> team;
  if (team.row >= call.rows) return;  // whole warps, and none of a wide team
  const T* const x = call.x + int64_t{team.row} * call.channels;
  T* const y = call.y + int64_t{team.row} * call.channels;
  float squares[1] = {0};
#pragma unroll 4
  for (int i = team.first; i < call.channels; i += team.step) {
    float v[P];
    load<P>(x + i, v);
#pragma unroll
    for (int k = 0; k < P; ++k) squares[0] = fmaf(v[k], v[k], squares[0]);
  }
  sum<wide>(squares);
  const float inv = inverse_norm(squares[0]);
  if (team.first == 0) call.inv_norm[team.row] = inv;
#pragma unroll 4
  for (int i = team.first; i < call.channels; i += team.step) {
    float v[P];
    load<P>(x + i, v);
#pragma unroll
    for (int k = 0; k < P; ++k) v[k] = v[k] * inv;
    store<P>(y + i, v);
  }
}

template <class T, class Out, int P, bool wide>
__global__ void __launch_bounds__(kThreads, kMinBlocks) normalize_backward(NormalizeBackward<T, Out> call) {
  await_previous_kernel();
  const Team<wide, P> team;
  if (team.row >= call.rows) return;
  const int64_t begin = int64_t{team.row} * call.channels;
  const T *const dy = call.dy + begin, *const y = call.y + begin;
  const float inv = call.inv_norm[team.row];
  float along[1] = {0};
  if (!is_floored(inv)) {  // the same for the whole team
#pragma unroll 2
    for (int i = team.first; i < call.channels; i += team.step) {
      float grad[P], v[P];
      load<P>(dy + i, grad);
      load<P>(y + i, v);
#pragma unroll
      for (int k = 0; k < P; ++k) along[0] = fmaf(grad[k], v[k], along[0]);
    }
  }
  sum<wide>(along);
#pragma unroll 2
  for (int i = team.first; i < call.channels; i += team.step) {
    float grad[P], v[P];
    load<P>(dy + i, grad);
    load<P>(y + i, v);
#pragma unroll
    for (int k = 0; k < P; ++k) grad[k] = (grad[k] - along[0] * v[k]) * inv;
    put<P>(call.dx + begin + i, grad, call.accumulate);
  }
}

}  // namespace

template <class T>
void run(const NormalizeForward<T>& call, Context& context) {
  choose<T>(aligned(call.x) && aligned(call.y), call.channels, [&](auto P, auto wide) {
    LAUNCH(context, (normalize_forward<T, P.value, wide.value>), blocks(call.rows, wide), kThreads, 0, call);
  });
}

template <class T, class Out>
void run(const NormalizeBackward<T, Out>& call, Context& context) {
  const bool whole = aligned(call.dy) && aligned(call.y) && aligned(call.dx);
  choose<T>(whole, call.channels, [&](auto P, auto wide) {
    LAUNCH(context, (normalize_backward<T, Out, P.value, wide.value>), blocks(call.rows, wide), kThreads, 0,
           call);
  });
}

template void run(const NormalizeForward<float>&, Context&);
template void run(const NormalizeForward<bf16>&, Context&);
template void run(const NormalizeBackward<float>&, Context&);
template void run(const NormalizeBackward<bf16>&, Context&);
template void run(const NormalizeBackward<bf16, float>&, Context&);

}  // namespace stopgrad::cuda
