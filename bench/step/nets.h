#pragma once
// The nets of the step benchmark, by name; bench/peers/nets.py has the same in PyTorch.
#include <string>
#include <vector>

#include "models/model.h"

namespace stopgrad::bench {

struct Net {
  Recipe recipe;
  ImageSize images;
  int64_t set_size;  // synthetic images
};

/// resnet18-cifar: CIFAR ResNet-18, projector 2048-2048, predictor 2048-512-2048, 32x32x3, 512 pairs.
/// a: the same with 64 pairs. resnet50: the ImageNet net, 224x224x3, 256 pairs, three-layer projector, blur.
/// b: widths 16/32/64/128, two blocks each, projector 256-256-256, predictor 256-64-256, 28x28x1, 256 pairs.
/// tiny: for tests, 8x8x3, 16 pairs.
const std::vector<std::string>& net_names();
/// Throws Error(Exit::usage) for another name. batch = 0: the net's own.
Net net_of(const std::string& name, int64_t batch);

}  // namespace stopgrad::bench
