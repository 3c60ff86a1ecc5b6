#include "data/augmenter.h"

#include "kernels/check.h"

namespace stopgrad {

AugmentRecipe cifar_recipe() { return {}; }

AugmentRecipe imagenet_recipe() {
  AugmentRecipe r;
  r.blur = 0.5f;
  r.mean[0] = 0.485f, r.mean[1] = 0.456f, r.mean[2] = 0.406f;
  r.std[0] = 0.229f, r.std[1] = 0.224f, r.std[2] = 0.225f;
  return r;
}

AugmentRecipe grey_recipe() {
  AugmentRecipe r;
  r.scale_min = 0.4f;
  r.ratio_min = 1 / 1.1f;
  r.ratio_max = 1.1f;
  r.saturation = r.hue = r.grey = 0;
  for (int c = 0; c < 3; ++c) r.mean[c] = 0.2860f, r.std[c] = 0.3530f;
  return r;
}

AugmentRecipe augment_recipe(std::string_view name) {
  if (name == "cifar") return cifar_recipe();
  if (name == "imagenet") return imagenet_recipe();
  if (name == "grey") return grey_recipe();
  fail(Exit::config, "augmentation: no recipe is called \"{}\"; choose cifar, imagenet or grey", name);
}

}  // namespace stopgrad
