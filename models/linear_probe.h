#pragma once
// Linear evaluation: softmax regression on frozen features, in the spirit of the paper's appendix A.
// Appendix A trains on augmented ImageNet with LARS and says nothing of CIFAR. Here features are computed
// once, without augmentation, and standardised; the regression is trained by SGD. So its figures compare with
// each other, not with the paper's.
#include <functional>

#include "data/dataset.h"
#include "engine/tensor.h"

namespace stopgrad {

struct LinearProbeOptions {
  int epochs = 100, batch = 256;
  double base_rate = 0.1;  // scaled by batch / 256, cosine per step; momentum 0.9, no decay
  uint64_t seed = 0;
};

struct LinearProbeResult {
  double train_accuracy = 0, test_accuracy = 0, loss = 0;  // percent, percent, at the end
};

/// Features [n, d] are standardised per channel with the training statistics first, so that one learning rate
/// serves all networks. Weights start normal with std 0.01, the bias at 0.
LinearProbeResult linear_probe(const Tensor& train, const std::vector<int32_t>& train_labels,
                               const Tensor& test, const std::vector<int32_t>& test_labels, int classes,
                               const LinearProbeOptions& options,
                               const std::function<void(int epoch, double loss)>& progress = {});

}  // namespace stopgrad
