#include "models/image_feed.h"

#include <algorithm>

#include "kernels/memory.h"

namespace stopgrad {

ImageFeed::ImageFeed(Pool memory, const Dataset& set, int batch, size_t room) : set_(set) {
  if (memory.device().is_cpu()) return;
  gathered_ = set.images.size() > room;
  const int64_t images = gathered_ ? batch : set.count;
  copy_ = Tensor(memory, {images, set.height, set.width, set.channels}, DType::u8);
  index_copy_ = Tensor(memory, {batch}, DType::i64);
  if (gathered_) staging_.resize(copy_.bytes());
  else copy_.from_host(set.images.data());
}

void ImageFeed::bring(std::span<const int64_t> index) {
  if (!index_copy_.defined()) {
    images_ = set_.images.data();
    index_ = index.data();
    return;
  }
  const Device device = copy_.device();
  images_ = copy_.data<uint8_t>();
  index_ = index_copy_.data<int64_t>();
  copy_to_device(device, index_copy_.raw(), index.data(), index.size_bytes());
  if (!gathered_) return;
  const auto bytes = static_cast<size_t>(set_.image_bytes());
  for (size_t i = 0; i < index.size(); ++i)
    std::copy_n(set_.image(index[i]), bytes, staging_.data() + i * bytes);
  copy_to_device(device, copy_.raw(), staging_.data(), index.size() * bytes);
}

}  // namespace stopgrad
