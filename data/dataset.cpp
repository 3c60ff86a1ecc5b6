#include "data/dataset.h"

#include "kernels/check.h"

namespace stopgrad {

const uint8_t* Dataset::image(int64_t i) const {
  ENSURE(i >= 0 && i < count, "{}: image {} asked for, the set has {}", name, i, count);
  return images.data() + i * image_bytes();
}

void Dataset::keep_first(int64_t limit) {
  if (limit <= 0 || limit >= count) return;
  count = limit;
  images.resize(static_cast<size_t>(count * image_bytes()));
  images.shrink_to_fit();
  if (!labels.empty()) labels.resize(count);
  if (!files.empty()) files.resize(count);
}

}  // namespace stopgrad
