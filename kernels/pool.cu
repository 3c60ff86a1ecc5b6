#include "kernels/pool_tiles.cuh"

namespace stopgrad::cuda {

using namespace pool;

namespace {

/// The maximum of a window so far, per channel. The first maximum wins, and a NaN over all.
template <int P>
struct Best {
  float value[P];
  int position[P];

  __device__ explicit Best(int first) {
#pragma unroll
    for (int k = 0; k < P; ++k) {
      value[k] = -INFINITY;
      position[k] = first;
    }
  }
  template <class T>
  __device__ void offer(const Pack<T, P>& pack, int at) {
#pragma unroll
    for (int k = 0; k < P; ++k) {
      const float x = to_float(pack.v[k]);
      const bool better = !(x <= value[k]) && value[k] == value[k];
      value[k] = better ? x : value[k];
      position[k] = better ? at : position[k];
    }
  }
};

/// K: the kernel's size, which unrolls the window, or 0: any size, one load at a time.
template <class T, int P, int K>
__global__ void __launch_bounds__(kThreads)
    max_pool_forward(MaxPoolForward<T> call, int out_height, int out_width, int pixel_blocks) {
  await_previous_kernel();
  const Place place(pixel_blocks, P);
  if (place.channel >= call.channels || place.pixel >= out_height * out_width) return;
  const int i = place.pixel / out_width, j = place.pixel - i * out_width;
  const int top = i * call.stride - call.padding, left = j * call.stride - call.padding;
  const int kernel = K ? K : call.kernel;
  Best<P> best(max(0, -top) * kernel + max(0, -left));
  const T* const image = call.x + int64_t{place.image} * call.height * call.width * call.channels;
  constexpr int batch = K ? K : 1;
#pragma unroll
  for (int r = 0; r < kernel; ++r) {
    if (top + r < 0 || top + r >= call.height) continue;
    const T* const row = image + int64_t{top + r} * call.width * call.channels + place.channel;
    auto inside = [&](int s) { return left + s >= 0 && left + s < call.width; };
    for (int first = 0; first < kernel; first += batch) {
      Pack<T, P> x[batch] = {};
#pragma unroll
      for (int b = 0; b < batch; ++b)
        if (inside(first + b))
          x[b] = *reinterpret_cast<const Pack<T, P>*>(row + int64_t{left + first + b} * call.channels);
#pragma unroll
      for (int b = 0; b < batch; ++b)
        if (inside(first + b)) best.offer(x[b], r * kernel + first + b);
    }
  }
  const int64_t out =
      (int64_t{place.image} * out_height * out_width + place.pixel) * call.channels + place.channel;
  store<P>(call.y + out, best.value);
  Pack<uint8_t, P> winner;
#pragma unroll
  for (int k = 0; k < P; ++k) winner.v[k] = static_cast<uint8_t>(best.position[k]);
  *reinterpret_cast<Pack<uint8_t, P>*>(call.winner + out) = winner;
}

template <class T, int P, int K>
void forward(const MaxPoolForward<T>& call, Context& context) {
  const int height = call.out_height(), width = call.out_width();
  if (call.images <= 0 || height <= 0 || width <= 0 || call.channels <= 0) return;
  const Tiles tiles(height * width, call.channels, P);
  LAUNCH(context, (max_pool_forward<T, P, K>), tiles.grid(call.images), tiles.block(), 0, call, height, width,
         tiles.pixel_blocks);
}

template <class T, int P>
void forward(const MaxPoolForward<T>& call, Context& context) {
  if (call.kernel == 2) forward<T, P, 2>(call, context);
  else if (call.kernel == 3) forward<T, P, 3>(call, context);
  else forward<T, P, 0>(call, context);
}

}  // namespace

template <class T>
void run(const MaxPoolForward<T>& call, Context& context) {
  check_window(call);
  constexpr int P = Pack<T>::size;
  const bool whole = call.channels % P == 0 && aligned(call.x) && aligned(call.y) && aligned(call.winner);
  if (whole) forward<T, P>(call, context);
  else forward<T, 1>(call, context);
}

template void run(const MaxPoolForward<float>&, Context&);
template void run(const MaxPoolForward<bf16>&, Context&);

}  // namespace stopgrad::cuda
