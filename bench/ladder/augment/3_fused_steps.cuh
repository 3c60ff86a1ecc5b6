#pragma once
// What: all steps before the mean in one launch, all after it, the store too, in another.
// Why:  only contrast needs to know other pixels; everything else of a pixel can stay in registers.
// Cost: a kernel that knows all steps; four launches are left because the mean separates them.
#include "bench/ladder/augment/2_drawn_once.cuh"

namespace stopgrad::ladder::augment::fused_steps {

using drawn_once::Drawn;
using launch_per_step::Place;

template <class T>
__global__ void __launch_bounds__(256) paint(Augment<T> call, Drawn drawn, float* canvas) {
  await_previous_kernel();
  const Place<T> at(call);
  if (!at.inside) return;
  const AugmentParams& p = drawn.of(call, at.view);
  const int y = at.pixel / call.out_width, x = at.pixel - y * call.out_width;
  float pixel[kColours];
  resample_alone(call, p, box_of(call, p, at.view), y, column_of(p, call.out_width, x), pixel);
  colour(p, 0, step_of_mean(p), 0, pixel);
  set_pixel(canvas + at.i * kColours, pixel);
}

/// means[view] by a warp per view: a lane takes every 32nd of the sums.
template <class T>
__global__ void __launch_bounds__(32) grey_means(Augment<T> call, const float* canvas, float* means) {
  await_previous_kernel();
  const int size = call.out_height * call.out_width;
  const float mean = grey_mean<kColours>(canvas + int64_t{blockIdx.x} * size * kColours, size);
  if (threadIdx.x == 0) means[blockIdx.x] = mean;
}

template <class T>
__global__ void __launch_bounds__(256)
    finish(Augment<T> call, Drawn drawn, const float* means, const float* canvas) {
  await_previous_kernel();
  const Place<T> at(call);
  if (!at.inside) return;
  const AugmentParams& p = drawn.of(call, at.view);
  float pixel[kColours];
  get_pixel(canvas + at.i * kColours, pixel);
  if (step_of_mean(p) < kColourSteps)
    colour(p, step_of_mean(p), kColourSteps, (1 - p.contrast) * means[at.view], pixel);
  put_pixel(call, pixel, at.i);
}

template <class T>
void run(const Augment<T>& call, Context& context) {
  float* means;
  const Drawn drawn = drawn_once::prepare(call, &means, context);
  const int64_t views = views_of(call);
  float* const canvas = means + views;
  const unsigned blocks = blocks_for(views * call.out_height * call.out_width, 256);
  LAUNCH(context, paint<T>, blocks, 256, 0, call, drawn, canvas);
  LAUNCH(context, grey_means<T>, static_cast<unsigned>(views), 32, 0, call, canvas, means);
  LAUNCH(context, finish<T>, blocks, 256, 0, call, drawn, means, canvas);
}

}  // namespace stopgrad::ladder::augment::fused_steps
