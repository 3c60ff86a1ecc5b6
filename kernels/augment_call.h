#pragma once
// What both schedules of Augment make of a call: is it in range, and what happens to each view.
#include "kernels/augment.h"
#include "kernels/augment_params.h"
#include "kernels/check.h"

namespace stopgrad {

/// What happens to view `view` of the call of image `image`.
template <class T>
STOPGRAD_HOST_DEVICE inline AugmentParams augment_params_of(const Augment<T>& call, int view, int64_t image) {
  if (!call.random) {
    AugmentParams whole;
    whole.height = call.height;
    whole.width = call.width;
    return whole;
  }
  const uint32_t epoch = call.current_epoch ? static_cast<uint32_t>(*call.current_epoch) : call.epoch;
  const AugmentDraws draws{call.seed, epoch, static_cast<uint32_t>(image),
                           static_cast<uint32_t>(call.first_view + view)};
  return draw_augment_params(call.recipe, draws, call.height, call.width);
}

/// Where the i-th image of the call lies.
template <class T>
STOPGRAD_HOST_DEVICE inline const uint8_t* source_of(const Augment<T>& call, int i) {
  const int64_t place = call.gathered ? i : call.index[i];
  return call.images + place * call.height * call.width * call.channels;
}

/// Error(Exit::failed) for sizes or strengths out of range.
template <class T>
void check_augment(const Augment<T>& c) {
  const AugmentRecipe& r = c.recipe;
  ENSURE(c.height > 0 && c.width > 0 && c.out_height > 0 && c.out_width > 0,
         "augment: images of {}x{} to views of {}x{}; every size must be positive", c.height, c.width,
         c.out_height, c.out_width);
  ENSURE(
      int64_t{c.height} * c.out_height < 1 << 28 && int64_t{c.width} * c.out_width < 1 << 28,
      "augment: images of {}x{} to views of {}x{} are beyond the whole numbers used; make the images smaller",
      c.height, c.width, c.out_height, c.out_width);
  ENSURE(c.views > 0 && c.count > 0, "augment: {} views of {} images; both must be positive", c.views,
         c.count);
  ENSURE(c.channels == 1 || c.channels == 3, "augment: images have {} channels, 1 or 3 are supported",
         c.channels);
  ENSURE(c.stored_channels >= c.channels, "augment: views store {} channels of images that have {}",
         c.stored_channels, c.channels);
  for (int i = 0; i < c.channels; ++i) {
    ENSURE(r.std[i] > 0, "augment: std of channel {} is {}, it must be positive", i, r.std[i]);
  }
  ENSURE(r.scale_min > 0 && r.scale_min <= r.scale_max && r.scale_max <= 1,
         "augment: areas of the crop from {} to {}, they must lie in (0, 1] and rise", r.scale_min,
         r.scale_max);
  ENSURE(r.ratio_min >= 0.001f && r.ratio_min <= r.ratio_max && r.ratio_max <= 1000,
         "augment: aspects of the crop from {} to {}, they must lie in [0.001, 1000] and rise", r.ratio_min,
         r.ratio_max);
  ENSURE(
      r.brightness >= 0 && r.contrast >= 0 && r.saturation >= 0 && r.hue >= 0 && r.hue <= 0.5f,
      "augment: strengths {} {} {} of brightness, contrast, saturation must not be negative, hue {} must lie "
      "in [0, 0.5]",
      r.brightness, r.contrast, r.saturation, r.hue);
  ENSURE(r.blur_sigma_min > 0 && r.blur_sigma_min <= r.blur_sigma_max && r.blur_sigma_max <= 100,
         "augment: sigma of the blur from {} to {}, it must lie in (0, 100] and rise", r.blur_sigma_min,
         r.blur_sigma_max);
}

namespace cuda {
/// The parameters as the device draws them, [views, count] in its memory: for tests, which want the host's
/// bits.
void draw_augment_params(const Augment<float>&, AugmentParams* out, Context&);
}  // namespace cuda

}  // namespace stopgrad
