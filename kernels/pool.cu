#include "kernels/pool.h"

#include <algorithm>

#include "kernels/check.h"
#include "kernels/cuda_support.cuh"

namespace stopgrad::cuda {

namespace {

constexpr int kThreads = 256;

/// A block is tx threads over P channels each and ty over the pixels of one image.
struct Tiles {
  int tx = 1, ty = 1;
  int channel_blocks, pixel_blocks;  // of an image

  Tiles(int pixels, int channels, int per_thread) {
    const auto packs = static_cast<int>(divide_up(channels, per_thread));
    while (tx < 32 && tx < packs) tx *= 2;
    while (tx * ty < 32 || (tx * ty < kThreads && ty < pixels)) ty *= 2;
    channel_blocks = static_cast<int>(divide_up(packs, tx));
    pixel_blocks = static_cast<int>(divide_up(pixels, ty));
  }
  dim3 grid(int images) const {
    return {static_cast<unsigned>(images) * pixel_blocks, static_cast<unsigned>(channel_blocks), 1};
  }
  dim3 block() const { return {static_cast<unsigned>(tx), static_cast<unsigned>(ty), 1}; }
};

/// Where a thread stands in a kernel launched with Tiles.
struct Place {
  int image, pixel, channel;  // the first of P

  __device__ Place(int pixel_blocks, int per_thread)
      : image(static_cast<int>(blockIdx.x) / pixel_blocks),
        pixel(static_cast<int>((blockIdx.x - image * pixel_blocks) * blockDim.y + threadIdx.y)),
        channel(static_cast<int>(blockIdx.y * blockDim.x + threadIdx.x) * per_thread) {}
};

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

/// Outputs whose window covers input h.
struct Covering {
  int begin, end;

  __device__ Covering(int h, int kernel, int stride, int padding, int outputs) {
    const int from = h + padding - kernel + 1;
    begin = from <= 0 ? 0 : (from + stride - 1) / stride;
    end = min(outputs, (h + padding) / stride + 1);
  }
};

/// One thread per input pixel and P channels gathers what the windows over it send. W: so many windows at
/// most cover a pixel in each direction, or 0: any number, one load at a time.
template <class T, int P, int W>
__global__ void __launch_bounds__(kThreads, 4)
    max_pool_backward(MaxPoolBackward<T> call, int out_height, int out_width, int pixel_blocks) {
  const Place place(pixel_blocks, P);
  if (place.channel >= call.channels || place.pixel >= call.height * call.width) return;
  const int h = place.pixel / call.width, w = place.pixel - h * call.width;
  const Covering rows(h, call.kernel, call.stride, call.padding, out_height),
      columns(w, call.kernel, call.stride, call.padding, out_width);
  float sum[P] = {};
  constexpr int batch = W ? W : 1;
#pragma unroll
  for (int a = 0; a < (W ? W : rows.end - rows.begin); ++a) {
    const int i = rows.begin + a, r = h + call.padding - i * call.stride;
    if (i >= rows.end) continue;
#pragma unroll 1
    for (int first = columns.begin; first < columns.end; first += batch) {
      const int64_t out =
          ((int64_t{place.image} * out_height + i) * out_width + first) * call.channels + place.channel;
      Pack<T, P> dy[batch] = {};
      Pack<uint8_t, P> winner[batch] = {};
#pragma unroll
      for (int b = 0; b < batch; ++b) {
        if (first + b >= columns.end) continue;
        const int64_t at = out + int64_t{b} * call.channels;
        dy[b] = *reinterpret_cast<const Pack<T, P>*>(call.dy + at);
        winner[b] = *reinterpret_cast<const Pack<uint8_t, P>*>(call.winner + at);
      }
#pragma unroll
      for (int b = 0; b < batch; ++b) {
        const int s = w + call.padding - (first + b) * call.stride, position = r * call.kernel + s;
        if (first + b >= columns.end) continue;
#pragma unroll
        for (int k = 0; k < P; ++k) sum[k] += winner[b].v[k] == position ? to_float(dy[b].v[k]) : 0.0f;
      }
    }
  }
  T* const dx = call.dx + (int64_t{place.image} * call.height * call.width + place.pixel) * call.channels +
                place.channel;
  if (call.accumulate) {
    float old[P];
    load<P>(dx, old);
#pragma unroll
    for (int k = 0; k < P; ++k) sum[k] = old[k] + sum[k];
  }
  store<P>(dx, sum);
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

template <class T, int P, int W>
void backward(const MaxPoolBackward<T>& call, Context& context) {
  const int pixels = call.height * call.width;
  if (call.images <= 0 || pixels <= 0 || call.channels <= 0) return;
  const Tiles tiles(pixels, call.channels, P);
  LAUNCH(context, (max_pool_backward<T, P, W>), tiles.grid(call.images), tiles.block(), 0, call,
         std::max(0, call.out_height()), std::max(0, call.out_width()), tiles.pixel_blocks);
}

template <class T, int P>
void backward(const MaxPoolBackward<T>& call, Context& context) {
  const auto windows = divide_up(call.kernel, call.stride);
  if (windows == 1) backward<T, P, 1>(call, context);
  else if (windows == 2) backward<T, P, 2>(call, context);
  else backward<T, P, 0>(call, context);
}

template <class Call>
void check(const Call& call) {
  ENSURE(call.kernel > 0 && call.kernel <= 16 && call.stride > 0 && call.padding >= 0 &&
             call.padding < call.kernel,
         "max pool: kernel {}, stride {}, padding {}; want a kernel of 1 to 16 and less padding than that",
         call.kernel, call.stride, call.padding);
}

}  // namespace

template <class T>
void run(const MaxPoolForward<T>& call, Context& context) {
  check(call);
  constexpr int P = Pack<T>::size;
  const bool whole = call.channels % P == 0 && aligned(call.x) && aligned(call.y) && aligned(call.winner);
  if (whole) forward<T, P>(call, context);
  else forward<T, 1>(call, context);
}

template <class T>
void run(const MaxPoolBackward<T>& call, Context& context) {
  check(call);
  constexpr int P = Pack<T>::size;
  const bool whole = call.channels % P == 0 && aligned(call.dy) && aligned(call.winner) && aligned(call.dx);
  if (whole) backward<T, P>(call, context);
  else backward<T, 1>(call, context);
}

template void run(const MaxPoolForward<float>&, Context&);
template void run(const MaxPoolForward<bf16>&, Context&);
template void run(const MaxPoolBackward<float>&, Context&);
template void run(const MaxPoolBackward<bf16>&, Context&);

}  // namespace stopgrad::cuda
