#include "kernels/augment.h"
#include "kernels/augment_call.h"
#include "kernels/augment_view.cuh"

namespace stopgrad::cuda {

using namespace view;

namespace {

/// What the host works out once for all views.
struct Plan {
  float scale[3] = {};  // 1 / std
  int gauss = 0;        // weights of the widest blur; 0: no view is blurred
  bool whole;           // views are whole packs
  size_t bytes;         // of a canvas, a multiple of 16

  template <class T>
  explicit Plan(const Augment<T>& call) {
    for (int c = 0; c < call.channels; ++c) scale[c] = 1 / call.recipe.std[c];
    if (call.random && call.recipe.blur > 0) gauss = 2 * blur_radius(call.recipe.blur_sigma_max) + 1;
    const size_t size = size_t(call.out_height) * size_t(call.out_width);
    whole = size * size_t(call.stored_channels) % Pack<T>::size == 0 && aligned(call.y);
    bytes = (size_t(call.out_height) + size_t(call.out_width)) * sizeof(Tap) +
            (size * size_t(call.channels) * (gauss > 0 ? 2 : 1) + size_t(gauss)) * sizeof(float);
    bytes = (bytes + 15) / 16 * 16;
  }
};

template <class T>
__device__ __forceinline__ Canvas make_canvas(const Augment<T>& call, const Plan& plan,
                                              unsigned char* memory) {
  Canvas canvas;
  canvas.rows = reinterpret_cast<Tap*>(memory);
  canvas.columns = canvas.rows + call.out_height;
  canvas.gauss = reinterpret_cast<float*>(canvas.columns + call.out_width);
  canvas.pixels = canvas.gauss + plan.gauss;
  canvas.between = canvas.pixels + call.out_height * call.out_width * call.channels;
  return canvas;
}

/// Crop, resize and colours: on return every thread may read every pixel of the canvas.
template <int C, class T>
__device__ __forceinline__ void paint(const Augment<T>& call, const AugmentParams& p, const uint8_t* image,
                                      const Canvas& canvas) {
  const int height = call.out_height, width = call.out_width, size = height * width, stride = call.width * C;
  const Axis rows(p.height, height, canvas.rows, stride), columns(p.width, width, canvas.columns, C);
  const uint8_t* const box = image + p.top * stride + p.left * C;
  const bool two_taps = rows.count == 2 && columns.count == 2;  // unless it shrinks
  const int wait = step_of_mean(p), last = p.flip ? width - 1 : 0, sign = p.flip ? -1 : 1;
  for_each_pixel(height, width, [&](int i, int y, int x) {
    float pixel[C];
    if (two_taps) resample<2>(box, rows, y, columns, last + sign * x, pixel);
    else resample<0>(box, rows, y, columns, last + sign * x, pixel);
    colour(p, 0, wait, 0, pixel);
#pragma unroll
    for (int c = 0; c < C; ++c) canvas.pixels[i * C + c] = pixel[c];
  });
  __syncthreads();
  if (wait == kColourSteps) return;
  const float rest = (1 - p.contrast) * grey_mean<C>(canvas.pixels, size);
  for_each(size, [&](int i) {
    float pixel[C];
#pragma unroll
    for (int c = 0; c < C; ++c) pixel[c] = canvas.pixels[i * C + c];
    colour(p, wait, kColourSteps, rest, pixel);
#pragma unroll
    for (int c = 0; c < C; ++c) canvas.pixels[i * C + c] = pixel[c];
  });
  __syncthreads();
}

template <int C>
__device__ __forceinline__ void blur(float sigma, int height, int width, const Canvas& canvas) {
  const int radius = blur_radius(sigma), row = width * C;
  blur_pass(canvas.gauss, radius, height * row, canvas.pixels, canvas.between, [=](int i, int k) {
    const int y = i / row;
    return reflect(y + k, height) * row + i - y * row;
  });
  __syncthreads();
  blur_pass(canvas.gauss, radius, height * row, canvas.between, canvas.pixels, [=](int i, int k) {
    const int start = i / row * row, x = (i - start) / C;
    return i + (reflect(x + k, width) - x) * C;
  });
  __syncthreads();
}

/// A view and its parameters, as one thread draws them for its block.
struct Drawn {
  AugmentParams params;
  int64_t image;  // offset of its first byte
};

/// A block makes a view at a time: on shared memory where a canvas fits, else in its part of `scratch`.
template <class T, int C, bool in_shared>
__global__ void __launch_bounds__(1024, 1) augment_views(Augment<T> call, Plan plan, unsigned char* scratch) {
  await_previous_kernel();
  DYNAMIC_SHARED(Drawn, drawn);
  const Canvas canvas = make_canvas(
      call, plan,
      in_shared ? reinterpret_cast<unsigned char*>(drawn + 1) : scratch + blockIdx.x * plan.bytes);
  const AugmentParams& p = drawn->params;
  const int size = call.out_height * call.out_width;
  const int64_t views = int64_t{call.views} * call.count;
  for (int64_t i = blockIdx.x; i < views; i += gridDim.x) {
    if (threadIdx.x == 0) {  // while others may still store the view before, which reads nothing of this
      const int64_t image = call.index[i % call.count];
      drawn->params = augment_params_of(call, static_cast<int>(i / call.count), image);
      drawn->image = source_of(call, static_cast<int>(i % call.count)) - call.images;
    }
    __syncthreads();
    const float sigma = p.blur_sigma;
    fill_taps({p.height, call.out_height}, 255, canvas.rows);
    fill_taps({p.width, call.out_width}, 1, canvas.columns);
    if (sigma > 0) fill_gauss(sigma, canvas.gauss);
    __syncthreads();
    paint<C>(call, p, call.images + drawn->image, canvas);
    if (sigma > 0) blur<C>(sigma, call.out_height, call.out_width, canvas);
    T* const y = call.y + i * size * call.stored_channels;
    const float* const mean = call.recipe.mean;
    if (plan.whole) store<Pack<T>::size, C>(canvas.pixels, size, mean, plan.scale, call.stored_channels, y);
    else store<1, C>(canvas.pixels, size, mean, plan.scale, call.stored_channels, y);
  }
}

__global__ void __launch_bounds__(128) augment_params(Augment<float> call, AugmentParams* out) {
  await_previous_kernel();
  const int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (i >= int64_t{call.views} * call.count) return;
  out[i] = augment_params_of(call, static_cast<int>(i / call.count), call.index[i % call.count]);
}

template <int C, class T>
void launch(const Augment<T>& call, Context& context) {
  const Plan plan(call);
  const int64_t views = int64_t{call.views} * call.count;
  // Small views leave room for several blocks on a processor, large ones take it whole.
  const unsigned threads = call.out_height * call.out_width > 8192 ? 1024 : 256;
  constexpr size_t static_shared = 1024;  // sums, up to where the rest is aligned
  if (sizeof(Drawn) + plan.bytes + static_shared <= context.info().shared) {
    LAUNCH(context, (augment_views<T, C, true>), blocks_for(views, 1), threads, sizeof(Drawn) + plan.bytes,
           call, plan, nullptr);
  } else {
    const unsigned blocks = blocks_for(views, 1, context.info().processors);
    LAUNCH(context, (augment_views<T, C, false>), blocks, threads, sizeof(Drawn), call, plan,
           context.scratch_of<unsigned char>(plan.bytes * blocks));
  }
}

}  // namespace

template <class T>
void run(const Augment<T>& call, Context& context) {
  check_augment(call);
  if (call.channels == 3) launch<3>(call, context);
  else launch<1>(call, context);
}

template void run(const Augment<float>&, Context&);
template void run(const Augment<bf16>&, Context&);

void draw_augment_params(const Augment<float>& call, AugmentParams* out, Context& context) {
  check_augment(call);
  LAUNCH(context, augment_params, blocks_for(int64_t{call.views} * call.count, 128), 128, 0, call, out);
}

}  // namespace stopgrad::cuda
