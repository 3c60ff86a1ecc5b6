#pragma once
// What: a first launch draws the parameters of every view, once, and all others read them.
// Why:  a draw takes up to 13 blocks of Philox and two roots per try of the crop; threads draw alike.
// Cost: a launch and 44 bytes per view.
#include "bench/ladder/augment/1_launch_per_step.cuh"

namespace stopgrad::ladder::augment::drawn_once {

template <class T>
__global__ void __launch_bounds__(128) draw_params(Augment<T> call, AugmentParams* params) {
  await_previous_kernel();
  const int64_t view = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (view < int64_t{call.views} * call.count) params[view] = draw(call, view);
}

struct Drawn {
  const AugmentParams* params;

  template <class T>
  __device__ const AugmentParams& of(const Augment<T>&, int64_t view) const {
    return params[view];
  }
};

/// Scratch memory: the parameters, drawn, and after them `*rest` for the floats.
template <class T>
Drawn prepare(const Augment<T>& call, float** rest, Context& context) {
  const int64_t views = views_of(call);
  const size_t bytes = static_cast<size_t>(views) * sizeof(AugmentParams);
  auto* memory =
      context.scratch_of<unsigned char>(bytes + launch_per_step::floats_needed(call) * sizeof(float));
  auto* const params = reinterpret_cast<AugmentParams*>(memory);
  LAUNCH(context, draw_params<T>, blocks_for(views, 128), 128, 0, call, params);
  *rest = reinterpret_cast<float*>(memory + bytes);
  return {params};
}

template <class T>
void run(const Augment<T>& call, Context& context) {
  float* memory;
  const Drawn drawn = prepare(call, &memory, context);
  launch_per_step::steps(call, drawn, memory, context);
}

}  // namespace stopgrad::ladder::augment::drawn_once
