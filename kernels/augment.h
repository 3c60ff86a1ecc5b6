#pragma once
// Fused augmentation: uint8 images in, all normalised views out, one pass per view (SimSiam appendix A and
// D).
#include <cstdint>

#include "kernels/context.h"
#include "kernels/dtype.h"

namespace stopgrad {

/// Probabilities and strengths, in the order of the released code: crop, jitter, grey, blur, flip, normalise.
struct AugmentRecipe {
  float scale_min = 0.2f, scale_max = 1.0f;                // area of the crop
  float ratio_min = 3.0f / 4.0f, ratio_max = 4.0f / 3.0f;  // aspect, drawn log-uniformly
  float jitter = 0.8f;                                     // probability of colour jitter
  float brightness = 0.4f, contrast = 0.4f, saturation = 0.4f, hue = 0.1f;
  float grey = 0.2f;  // probability
  float blur = 0.0f, blur_sigma_min = 0.1f, blur_sigma_max = 2.0f;
  float flip = 0.5f;
  float mean[3] = {0.4914f, 0.4822f, 0.4465f};
  float std[3] = {0.2023f, 0.1994f, 0.2010f};
};

/// Views of the images `index[0..count)` of a data set that lies in memory as uint8.
/// Each view is a pure function of (seed, epoch, image, view): neither batch nor threads matter.
/// Resampling is bilinear with half-pixel centres, widened as PIL does where the view is smaller than its
/// box. Sizes or strengths out of range are Error(Exit::failed).
template <class T>
struct Augment {
  const uint8_t* images;  // [data set, height, width, channels], channels 1 or 3
  int height, width, channels;
  const int64_t* index;  // [count], each below 2^32
  int count, views, first_view;
  uint64_t seed;
  uint32_t epoch;
  AugmentRecipe recipe;
  int out_height, out_width;
  int stored_channels;    // channels of y; those past `channels` are zero
  bool random;            // false: the test transform, resize (if sizes differ) and normalise only
  T* y;                   // [views, count, out_height, out_width, stored_channels]
  bool gathered = false;  // `images` holds the images of `index` alone, in its order
  const int64_t* current_epoch =
      nullptr;  // in the device's memory: where set, a captured call reads its epoch here
};

namespace cpu {
template <class T>
void run(const Augment<T>&, Context&);
}  // namespace cpu
namespace cuda {
template <class T>
void run(const Augment<T>&, Context&);
}  // namespace cuda

}  // namespace stopgrad
