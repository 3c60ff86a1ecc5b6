#pragma once
// Residual networks (He et al. 2015) with torchvision's names inside, without the classifier.
#include <memory>
#include <string>
#include <vector>

#include "engine/layers.h"

namespace stopgrad {

struct ResNetConfig {
  bool bottleneck = false;  // 1x1, 3x3, 1x1 blocks with four times the width at the output
  std::vector<int> widths = {64, 128, 256, 512};
  std::vector<int> blocks = {2, 2, 2, 2};
  bool imagenet_stem = false;  // 7x7/2 and max pool; otherwise 3x3 with stem_stride, no pool
  int stem_stride = 1;
  int in_channels = 3;
  ConvInit conv_init = ConvInit::fan_out;
  bool zero_gamma = true;  // last batch norm of each block starts at 0, as in the paper
};

/// "resnet18", "resnet34", "resnet50"; throws Error(Exit::config) for another name.
ResNetConfig resnet_config(const std::string& name, bool imagenet_stem);

/// y = relu(F(x) + shortcut(x)); the sum and the ReLU are part of the last batch norm.
class ResidualBlock {
 public:
  ResidualBlock(const ResNetConfig& config, int in, int width, int stride);
  Var forward(Pass& pass, const Var& x);
  void visit(const std::string& prefix, Visitor& v);

 private:
  std::vector<Conv> convs_;
  std::vector<BatchNorm> norms_;
  std::vector<Conv> shortcut_conv_;  // none or one
  std::vector<BatchNorm> shortcut_norm_;
};

class ResNet {
 public:
  explicit ResNet(const ResNetConfig& config);
  ResNet(const ResNet&) = delete;

  /// x[N, H, W, C] -> features [N, feature_size()], pooled
  Var forward(Pass& pass, const Var& x);
  void visit(const std::string& prefix, Visitor& v);
  int feature_size() const;

 private:
  ResNetConfig config_;
  Conv conv1_;
  BatchNorm bn1_;
  std::vector<std::vector<std::unique_ptr<ResidualBlock>>> layers_;
};

}  // namespace stopgrad
