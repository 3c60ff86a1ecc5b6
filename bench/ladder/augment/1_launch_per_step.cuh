#pragma once
// What: a launch per step, one thread per pixel; between the steps the views lie in memory as floats.
// Why:  every step is a function of an image, as in a library of such steps.
// Cost: eleven launches; each thread draws the parameters of its view; a mean has one thread per view.
#include "bench/ladder/augment.cuh"

namespace stopgrad::ladder::augment::launch_per_step {

/// Where a thread gets the parameters of a view from: here, it draws them.
struct Draw {
  template <class T>
  __device__ AugmentParams of(const Augment<T>& call, int64_t view) const {
    return draw(call, view);
  }
};

/// The pixel of a thread: its view, and its place in it.
template <class T>
struct Place {
  int64_t i, view;
  int pixel;
  bool inside;

  __device__ explicit Place(const Augment<T>& call) : i(int64_t{blockIdx.x} * blockDim.x + threadIdx.x) {
    const int size = call.out_height * call.out_width;
    view = i / size;
    pixel = static_cast<int>(i - view * size);
    inside = view < int64_t{call.views} * call.count;
  }
};

template <class Params, class T>
__global__ void __launch_bounds__(256) crop_resize(Augment<T> call, Params params, float* canvas) {
  await_previous_kernel();
  const Place<T> at(call);
  if (!at.inside) return;
  const AugmentParams p = params.of(call, at.view);
  const int y = at.pixel / call.out_width, x = at.pixel - y * call.out_width;
  float pixel[kColours];
  resample_alone(call, p, box_of(call, p, at.view), y, column_of(p, call.out_width, x), pixel);
  set_pixel(canvas + at.i * kColours, pixel);
}

/// means[view], where step s of the jitter is the contrast: 16 sums of every 16th pixel, in the CPU's order.
template <class Params, class T>
__global__ void __launch_bounds__(32)
    grey_means(Augment<T> call, Params params, int s, const float* canvas, float* means) {
  await_previous_kernel();
  const int64_t view = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  const int size = call.out_height * call.out_width;
  if (view >= int64_t{call.views} * call.count || step_of_mean(params.of(call, view)) != s) return;
  double total = 0;
  for (int begin = 0; begin < size; begin += kMeanBlock)
    for (int lane = 0; lane < kMeanLanes; ++lane) {
      float sum = 0;
      for (int i = begin + lane; i < min(size, begin + kMeanBlock); i += kMeanLanes)
        sum += grey_of<kColours>(canvas + (view * size + i) * kColours);
      total += sum;
    }
  means[view] = static_cast<float>(total / size);
}

/// One of the five colour steps: the four of the jitter in the order drawn, then grey.
template <class Params, class T>
__global__ void __launch_bounds__(256)
    colour_step(Augment<T> call, Params params, int s, const float* means, float* canvas) {
  await_previous_kernel();
  const Place<T> at(call);
  if (!at.inside) return;
  const AugmentParams p = params.of(call, at.view);
  const float rest = step_of_mean(p) == s ? (1 - p.contrast) * means[at.view] : 0;
  float pixel[kColours];
  get_pixel(canvas + at.i * kColours, pixel);
  // A switch, as an index into registers would put them into local memory.
  const Jitter step = s == 0 ? p.order[0] : s == 1 ? p.order[1] : s == 2 ? p.order[2] : p.order[3];
  if (s == 4) colour(p, 4, kColourSteps, 0, pixel);
  else if (p.jitter) jitter(p, step, rest, pixel);
  set_pixel(canvas + at.i * kColours, pixel);
}

template <class T>
__global__ void __launch_bounds__(256) normalise(Augment<T> call, const float* canvas) {
  await_previous_kernel();
  const Place<T> at(call);
  if (!at.inside) return;
  float pixel[kColours];
  get_pixel(canvas + at.i * kColours, pixel);
  put_pixel(call, pixel, at.i);
}

/// Means of the views, then the views: [views] and [views, height, width, colours].
template <class T>
size_t floats_needed(const Augment<T>& call) {
  return static_cast<size_t>(views_of(call) * (1 + int64_t{call.out_height} * call.out_width * kColours));
}

template <class Params, class T>
void steps(const Augment<T>& call, Params params, float* memory, Context& context) {
  const int64_t views = views_of(call);
  float *const means = memory, *const canvas = memory + views;
  const unsigned blocks = blocks_for(views * call.out_height * call.out_width, 256);
  LAUNCH(context, (crop_resize<Params, T>), blocks, 256, 0, call, params, canvas);
  for (int s = 0; s < kColourSteps; ++s) {
    if (s < 4)
      LAUNCH(context, (grey_means<Params, T>), blocks_for(views, 32), 32, 0, call, params, s, canvas, means);
    LAUNCH(context, (colour_step<Params, T>), blocks, 256, 0, call, params, s, means, canvas);
  }
  LAUNCH(context, normalise<T>, blocks, 256, 0, call, canvas);
}

template <class T>
void run(const Augment<T>& call, Context& context) {
  steps(call, Draw(), context.scratch_of<float>(floats_needed(call)), context);
}

}  // namespace stopgrad::ladder::augment::launch_per_step
