#include "data/dataset.h"

#include "kernels/check.h"

namespace stopgrad {

const uint8_t* Dataset::image(int64_t i) const {
  ENSURE(i >= 0 && i < count, "{}: image {} asked for, the set has {}", name, i, count);
  return images.data() + i * image_bytes();
}

namespace {
template <class T>
void append_or_drop(std::vector<T>& to, const std::vector<T>& more) {
  if (to.empty() || more.empty()) return to.clear();
  to.insert(to.end(), more.begin(), more.end());
}
}  // namespace

void Dataset::append(const Dataset& more) {
  if (height != more.height || width != more.width || channels != more.channels)
    fail(Exit::data, "{}: images to train on of {}x{}x{}, to test on of {}x{}x{}; use one split of them",
         name, height, width, channels, more.height, more.width, more.channels);
  images.insert(images.end(), more.images.begin(), more.images.end());
  append_or_drop(labels, more.labels);
  append_or_drop(files, more.files);
  count += more.count;
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
