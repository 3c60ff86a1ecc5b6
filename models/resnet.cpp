#include "models/resnet.h"

namespace stopgrad {

namespace {
constexpr int kExpansion = 4;  // of a bottleneck

int out_width(const ResNetConfig& c, int width) { return c.bottleneck ? width * kExpansion : width; }
}  // namespace

ResNetConfig resnet_config(const std::string& name, bool imagenet_stem) {
  ResNetConfig c;
  c.imagenet_stem = imagenet_stem;
  if (name == "resnet18") return c;
  c.blocks = {3, 4, 6, 3};
  if (name == "resnet34") return c;
  c.bottleneck = true;
  if (name == "resnet50") return c;
  fail(Exit::config, "net.backbone: '{}' is none of resnet18, resnet34, resnet50, small, mlp", name);
}

ResidualBlock::ResidualBlock(const ResNetConfig& c, int in, int width, int stride) {
  const int out = out_width(c, width);
  const double last_gamma = c.zero_gamma ? 0 : 1;
  if (c.bottleneck) {
    convs_.emplace_back(in, width, 1, 1, 0, c.conv_init);
    convs_.emplace_back(width, width, 3, stride, 1, c.conv_init);  // torchvision strides in the 3x3
    convs_.emplace_back(width, out, 1, 1, 0, c.conv_init);
    norms_.emplace_back(width);
  } else {
    convs_.emplace_back(in, width, 3, stride, 1, c.conv_init);
    convs_.emplace_back(width, out, 3, 1, 1, c.conv_init);
  }
  norms_.emplace_back(width);
  norms_.emplace_back(out, true, last_gamma);
  if (stride != 1 || in != out) {
    shortcut_conv_.emplace_back(in, out, 1, stride, 0, c.conv_init);
    shortcut_norm_.emplace_back(out);
  }
}

Var ResidualBlock::forward(Pass& pass, const Var& x) {
  Var shortcut = x;
  if (!shortcut_conv_.empty()) {
    const Var s = shortcut_conv_[0].forward(pass, x);
    shortcut = shortcut_norm_[0].forward(pass, s);
  }
  Var y = x;
  for (size_t i = 0; i < convs_.size(); ++i) {
    const bool last = i + 1 == convs_.size();
    y = convs_[i].forward(pass, y);
    y = norms_[i].forward(pass, y, true, last ? &shortcut : nullptr);
  }
  return y;
}

void ResidualBlock::visit(const std::string& prefix, Visitor& v) {
  for (size_t i = 0; i < convs_.size(); ++i) {
    convs_[i].visit(fmt::format("{}conv{}.", prefix, i + 1), v);
    norms_[i].visit(fmt::format("{}bn{}.", prefix, i + 1), v);
  }
  if (shortcut_conv_.empty()) return;
  shortcut_conv_[0].visit(prefix + "downsample.0.", v);
  shortcut_norm_[0].visit(prefix + "downsample.1.", v);
}

ResNet::ResNet(const ResNetConfig& c)
    : config_(c),
      conv1_(c.in_channels, c.widths[0], c.imagenet_stem ? 7 : 3, c.imagenet_stem ? 2 : c.stem_stride,
             c.imagenet_stem ? 3 : 1, c.conv_init),
      bn1_(c.widths[0]) {
  ENSURE(c.widths.size() == c.blocks.size(), "resnet: {} widths for {} block counts", c.widths.size(),
         c.blocks.size());
  int in = c.widths[0];
  for (size_t stage = 0; stage < c.widths.size(); ++stage) {
    auto& layer = layers_.emplace_back();
    for (int b = 0; b < c.blocks[stage]; ++b) {
      const int stride = stage > 0 && b == 0 ? 2 : 1;
      layer.push_back(std::make_unique<ResidualBlock>(c, in, c.widths[stage], stride));
      in = out_width(c, c.widths[stage]);
    }
  }
}

Var ResNet::forward(Pass& pass, const Var& x) {
  Var y = conv1_.forward(pass, x);
  y = bn1_.forward(pass, y, true);
  if (config_.imagenet_stem) y = max_pool(y, 3, 2, 1);
  for (size_t stage = 0; stage < layers_.size(); ++stage)
    for (size_t b = 0; b < layers_[stage].size(); ++b) {
      Tape::Scope scope(pass.tape, fmt::format("layer{}.{}", stage + 1, b));
      y = layers_[stage][b]->forward(pass, y);
    }
  return global_average_pool(y);
}

void ResNet::visit(const std::string& prefix, Visitor& v) {
  conv1_.visit(prefix + "conv1.", v);
  bn1_.visit(prefix + "bn1.", v);
  for (size_t stage = 0; stage < layers_.size(); ++stage)
    for (size_t b = 0; b < layers_[stage].size(); ++b)
      layers_[stage][b]->visit(fmt::format("{}layer{}.{}.", prefix, stage + 1, b), v);
}

int ResNet::feature_size() const { return out_width(config_, config_.widths.back()); }

}  // namespace stopgrad
