#pragma once
// One table of shapes per kind of call: tiny, odd, tail, real layers. Tests and benchmarks both read it.
#include <cstdint>
#include <vector>

#include "kernels/conv2d.h"

namespace stopgrad::test {

/// `real` marks layers of real networks: too large for the naive reference in every test run.
struct ConvCase {
  const char* name;
  ConvShape shape;
  bool real = false;
};

inline const std::vector<ConvCase>& conv_cases() {
  static const std::vector<ConvCase> cases = {
      {"one pixel", {1, 1, 1, 1, 1, 1, 1, 0}},
      {"3x3 on one pixel", {2, 1, 1, 3, 4, 3, 1, 1}},
      {"odd sizes", {2, 5, 7, 3, 5, 3, 1, 1}},
      {"stride 2 odd", {3, 7, 5, 4, 6, 3, 2, 1}},
      {"1x1 stride 2", {2, 6, 6, 16, 32, 1, 2, 0}},
      {"7x7 stride 2", {1, 15, 17, 3, 8, 7, 2, 3}},
      {"tail channels", {2, 6, 6, 17, 33, 3, 1, 1}},
      {"edge tiles of Winograd", {17, 7, 7, 64, 80, 3, 1, 1}},
      {"narrow 1x1 stride 2", {6, 8, 8, 4, 8, 1, 2, 0}},
      {"grey stem", {2, 8, 8, 1, 16, 3, 1, 1}},
      {"resnet18 cifar stem", {64, 32, 32, 3, 64, 3, 1, 1}, true},
      {"resnet18 cifar layer1", {64, 32, 32, 64, 64, 3, 1, 1}, true},
      {"resnet18 cifar layer2 down", {64, 32, 32, 64, 128, 3, 2, 1}, true},
      {"resnet18 cifar layer2", {64, 16, 16, 128, 128, 3, 1, 1}, true},
      {"resnet18 cifar layer3", {64, 8, 8, 256, 256, 3, 1, 1}, true},
      {"resnet18 cifar layer4", {64, 4, 4, 512, 512, 3, 1, 1}, true},
      {"small net layer1", {256, 28, 28, 16, 16, 3, 1, 1}, true},
      {"small net layer4", {256, 4, 4, 128, 128, 3, 1, 1}, true},
  };
  return cases;
}

/// ResNet-50 at 224 x 224, 32 images: what one of 8 GPUs gets of a batch of 256 (SimSiam appendix A). Only
/// benchmarks read these tables: a test of them would take minutes.
inline const std::vector<ConvCase>& resnet50_conv_cases() {
  static const std::vector<ConvCase> cases = {
      {"resnet50 stem", {32, 224, 224, 3, 64, 7, 2, 3}, true},
      {"resnet50 layer1 reduce", {32, 56, 56, 256, 64, 1, 1, 0}, true},
      {"resnet50 layer1", {32, 56, 56, 64, 64, 3, 1, 1}, true},
      {"resnet50 layer1 expand", {32, 56, 56, 64, 256, 1, 1, 0}, true},
      {"resnet50 layer2 down", {32, 56, 56, 128, 128, 3, 2, 1}, true},
      {"resnet50 layer2 shortcut", {32, 56, 56, 256, 512, 1, 2, 0}, true},
      {"resnet50 layer2", {32, 28, 28, 128, 128, 3, 1, 1}, true},
      {"resnet50 layer3", {32, 14, 14, 256, 256, 3, 1, 1}, true},
      {"resnet50 layer4", {32, 7, 7, 512, 512, 3, 1, 1}, true},
      {"resnet50 layer4 expand", {32, 7, 7, 512, 2048, 1, 1, 0}, true},
  };
  return cases;
}

/// Activations as matrices: batch norm, cosine loss, pooling over rows.
struct MatrixCase {
  const char* name;
  int rows, channels;
  bool real = false;
};

inline const std::vector<MatrixCase>& matrix_cases() {
  static const std::vector<MatrixCase> cases = {
      {"two rows", 2, 1},
      {"tiny", 4, 2},
      {"odd", 7, 5},
      {"tail", 33, 17},
      {"one channel", 1000, 1},
      {"wide", 3, 515},
      {"head", 64, 256},
      {"many rows", 3137, 16},
      {"head of resnet18", 512, 2048, true},
      {"resnet18 cifar layer1", 65536, 64, true},
      {"resnet18 cifar layer4", 1024, 512, true},
      {"small net layer1", 200704, 16, true},
  };
  return cases;
}

inline const std::vector<MatrixCase>& resnet50_matrix_cases() {
  static const std::vector<MatrixCase> cases = {
      {"resnet50 stem", 401408, 64, true},       {"resnet50 layer1 out", 100352, 256, true},
      {"resnet50 layer2", 25088, 128, true},     {"resnet50 layer3 out", 6272, 1024, true},
      {"resnet50 layer4 out", 1568, 2048, true}, {"resnet50 head", 32, 2048, true},
  };
  return cases;
}

struct GemmCase {
  const char* name;
  int m, n, k;
  bool real = false;
};

inline const std::vector<GemmCase>& gemm_cases() {
  static const std::vector<GemmCase> cases = {
      {"one", 1, 1, 1},
      {"row", 1, 7, 5},
      {"odd", 5, 7, 9},
      {"tail", 33, 65, 17},
      {"head", 64, 256, 128},
      {"deep", 7, 19, 600},
      {"projector", 64, 2048, 512, true},
      {"predictor", 64, 512, 2048, true},
      {"projector of a batch of 512", 512, 2048, 2048, true},
  };
  return cases;
}

/// Flat arrays: parameters of a network, elements of an activation.
struct FlatCase {
  const char* name;
  int64_t count;
  bool real = false;
};

inline const std::vector<FlatCase>& flat_cases() {
  static const std::vector<FlatCase> cases = {
      {"one", 1},
      {"odd", 1003},
      {"more than a block", 70001},
      {"resnet18 cifar with heads", 18'511'680, true},
      {"resnet50 with heads", 38'200'000, true},
  };
  return cases;
}

/// `views` of `count` images each; `recipe` as augment_recipe() names it.
struct AugmentCase {
  const char* name;
  int views, count, height, width, channels, out_height, out_width, stored_channels;
  const char* recipe;
  bool real = false;
};

inline const std::vector<AugmentCase>& augment_cases() {
  static const std::vector<AugmentCase> cases = {
      {"odd sizes", 2, 3, 17, 23, 3, 19, 21, 3, "imagenet"},
      {"grey", 2, 5, 28, 28, 1, 28, 28, 1, "grey"},
      {"cifar", 2, 512, 32, 32, 3, 32, 32, 3, "cifar", true},
      {"cifar for tensor cores", 2, 512, 32, 32, 3, 32, 32, 8, "cifar", true},
      {"cifar evaluation batch", 1, 512, 32, 32, 3, 32, 32, 3, "cifar", true},
      {"fashion", 2, 256, 28, 28, 1, 28, 28, 1, "grey", true},
      {"imagenet", 2, 32, 256, 256, 3, 224, 224, 3, "imagenet", true},
  };
  return cases;
}

/// The k best of each of `rows` rows of `count` values: similarities to a part of a bank.
struct TopKCase {
  const char* name;
  int rows, count, k;
  bool real = false;
};

inline const std::vector<TopKCase>& topk_cases() {
  static const std::vector<TopKCase> cases = {
      {"fewer than k", 3, 5, 8},
      {"odd", 7, 1001, 5},
      {"nearest neighbours of cifar", 256, 50000, 200, true},
  };
  return cases;
}

}  // namespace stopgrad::test
