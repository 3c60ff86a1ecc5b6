#include "bench/step/nets.h"

#include <algorithm>

namespace stopgrad::bench {

namespace {

Net resnet18(int64_t batch) {
  Net n{.images = {32, 32, 3}, .set_size = 4096};
  n.recipe.backbone = "resnet18";
  n.recipe.projector = {2048, 2048};
  n.recipe.predictor_hidden = 512;
  n.recipe.batch = batch;
  set_key(n.recipe, "augment.preset=cifar");
  return n;
}

Net resnet50() {
  Net n{.images = {224, 224, 3}, .set_size = 512};
  n.recipe.backbone = "resnet50";
  n.recipe.stem = "imagenet";
  n.recipe.projector = {2048, 2048, 2048};
  n.recipe.predictor_hidden = 512;
  n.recipe.batch = 256;
  set_key(n.recipe, "augment.preset=imagenet");
  return n;
}

Net small() {
  Net n{.images = {28, 28, 1}, .set_size = 1024};
  n.recipe.widths = {16, 32, 64, 128};
  n.recipe.blocks = {2, 2, 2, 2};
  n.recipe.projector = {256, 256, 256};
  n.recipe.batch = 256;
  set_key(n.recipe, "augment.preset=cifar");
  return n;
}

Net tiny() {
  Net n{.images = {8, 8, 3}, .set_size = 64};
  n.recipe.widths = {4, 8};
  n.recipe.blocks = {1, 1};
  n.recipe.projector = {16, 16};
  n.recipe.predictor_hidden = 4;
  n.recipe.batch = 16;
  set_key(n.recipe, "augment.preset=cifar");
  return n;
}

}  // namespace

const std::vector<std::string>& net_names() {
  static const std::vector<std::string> names = {"resnet18-cifar", "resnet50", "a", "b", "tiny"};
  return names;
}

Net net_of(const std::string& name, int64_t batch) {
  Net n;
  if (name == "resnet18-cifar") n = resnet18(512);
  else if (name == "a") n = resnet18(64);
  else if (name == "resnet50") n = resnet50();
  else if (name == "b") n = small();
  else if (name == "tiny") n = tiny();
  else fail(Exit::usage, "no net \"{}\"", name);
  n.recipe.steps = 1 << 20;
  n.recipe.stem_stride = 1;
  n.recipe.checkpoint_every = 0;
  if (batch > 0) n.recipe.batch = batch;
  n.set_size = std::max(n.set_size, n.recipe.batch);
  return n;
}

}  // namespace stopgrad::bench
