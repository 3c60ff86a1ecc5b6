#pragma once
// Shapes of max pooling, for both devices.
#include <vector>

#include "tests/reference/pool.h"

namespace stopgrad::test {

struct PoolCase {
  const char* name;
  reference::MaxPool shape;
};

/// For benchmarks: the only max pooling of ResNet-50 and of ResNet-18 at 224 x 224.
inline const PoolCase kResnetStem = {"resnet stem, 32 images", {32, 112, 112, 64, 3, 2, 1}};

/// The average over all pixels behind the last layer.
struct AveragePoolCase {
  const char* name;
  int images, pixels, channels;
  bool real = false;
};
inline const std::vector<AveragePoolCase>& average_pool_cases() {
  static const std::vector<AveragePoolCase> cases = {
      {"odd", 3, 35, 17},
      {"resnet18 cifar", 512, 16, 512, true},
      {"resnet50", 32, 49, 2048, true},
  };
  return cases;
}

inline const std::vector<PoolCase>& pool_cases() {
  static const std::vector<PoolCase> cases = {
      {"one pixel", {1, 1, 1, 1, 1, 1, 0}},         {"one window", {2, 2, 2, 3, 2, 2, 0}},
      {"resnet stem", {2, 16, 14, 64, 3, 2, 1}},    {"small stem", {1, 5, 6, 16, 3, 2, 1}},
      {"odd sizes", {3, 7, 5, 5, 3, 2, 1}},         {"overlapping", {2, 6, 9, 17, 3, 1, 1}},
      {"overlapping pairs", {1, 5, 5, 8, 2, 1, 1}}, {"gaps", {2, 9, 8, 2, 2, 3, 0}},
      {"rest left over", {1, 8, 8, 70, 3, 3, 0}},   {"wide padding", {2, 5, 5, 4, 5, 2, 2}},
      {"wide channels", {1, 3, 4, 264, 3, 2, 1}},   {"gaps of 3", {1, 9, 9, 16, 3, 5, 2}},
      {"a tall image", {1, 70, 6, 1, 4, 2, 1}},     {"large kernel", {1, 17, 18, 8, 16, 3, 4}},
      {"no output", {1, 2, 2, 8, 3, 1, 0}},
  };
  return cases;
}

}  // namespace stopgrad::test
