#include <algorithm>

#include "kernels/pool_tiles.cuh"

namespace stopgrad::cuda {

using namespace pool;

namespace {

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
  await_previous_kernel();
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
      if (W) break;  // that was all of the row
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

}  // namespace

template <class T>
void run(const MaxPoolBackward<T>& call, Context& context) {
  check_window(call);
  constexpr int P = Pack<T>::size;
  const bool whole = call.channels % P == 0 && aligned(call.dy) && aligned(call.winner) && aligned(call.dx);
  if (whole) backward<T, P>(call, context);
  else backward<T, 1>(call, context);
}

template void run(const MaxPoolBackward<float>&, Context&);
template void run(const MaxPoolBackward<bf16>&, Context&);

}  // namespace stopgrad::cuda
