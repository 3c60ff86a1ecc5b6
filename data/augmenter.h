#pragma once
// From a recipe, a seed and image numbers to the call that makes the views. Nothing here keeps a state.
#include <cstdint>
#include <span>
#include <string_view>

#include "kernels/augment.h"

namespace stopgrad {

/// CIFAR-10, 32x32 (SimSiam appendix D): as ImageNet, without blur.
AugmentRecipe cifar_recipe();
/// ImageNet, 224x224 (SimSiam appendix A).
AugmentRecipe imagenet_recipe();
/// Fashion-MNIST and other small grey images: milder crops, no colours.
AugmentRecipe grey_recipe();
/// "cifar", "imagenet" or "grey"; another name is Error(Exit::config).
AugmentRecipe augment_recipe(std::string_view name);

/// Images of one size in memory.
struct ImageBytes {
  const uint8_t* images;  // [data set, height, width, channels]
  int height, width, channels;
};

/// Size of a view as it is stored; channels past those of the image are zero.
struct ViewShape {
  int height, width, stored_channels;
};

/// `views` random views of the images `index`; y: [views, index.size(), height, width, stored_channels].
/// `index` must live until the call has run.
template <class T>
Augment<T> random_views(const ImageBytes& from, std::span<const int64_t> index, const AugmentRecipe& recipe,
                        uint64_t seed, uint32_t epoch, int views, const ViewShape& shape, T* y) {
  return {from.images, from.height, from.width, from.channels, index.data(), int(index.size()),     views, 0,
          seed,        epoch,       recipe,     shape.height,  shape.width,  shape.stored_channels, true,  y};
}

/// The images `index` as evaluation sees them: resized where sizes differ, and normalised;
/// y: [index.size(), height, width, stored_channels].
template <class T>
Augment<T> test_views(const ImageBytes& from, std::span<const int64_t> index, const AugmentRecipe& recipe,
                      const ViewShape& shape, T* y) {
  Augment<T> call = random_views(from, index, recipe, 0, 0, 1, shape, y);
  call.random = false;
  return call;
}

}  // namespace stopgrad
