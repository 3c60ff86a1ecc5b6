#include "models/image_feed.h"

#include <algorithm>

#include "kernels/memory.h"

namespace stopgrad {

ImageFeed::ImageFeed(Pool memory, const Dataset& set, int batch, size_t room) : set_(set) {
  if (memory.device().is_cpu()) return;
  index_copy_ = Tensor(memory, {batch}, DType::i64);
  if (set.images.size() <= room) {
    whole_ = Tensor(memory, {set.count, set.height, set.width, set.channels}, DType::u8);
    whole_.from_host(set.images.data());
    return;
  }
  for (Slot& slot : slots_) {
    slot.images = Tensor(memory, {batch, set.height, set.width, set.channels}, DType::u8);
    slot.staging = static_cast<uint8_t*>(allocate_staging(memory.device(), slot.images.bytes()));
  }
}

ImageFeed::~ImageFeed() {
  if (resident()) return;
  finish_background(index_copy_.device());  // a batch that nobody will fetch may still be on its way
  for (Slot& slot : slots_)
    if (slot.staging) free_staging(slot.images.device(), slot.staging);
}

void ImageFeed::announce(std::span<const int64_t> index) {
  if (!slots_[0].images.defined()) return;
  Slot& next = slots_[1 - now_];
  next.index.assign(index.begin(), index.end());
  const auto bytes = static_cast<size_t>(set_.image_bytes());
  for (size_t i = 0; i < index.size(); ++i)
    std::copy_n(set_.image(index[i]), bytes, next.staging + i * bytes);
  copy_in_background(next.images.device(), next.images.raw(), next.staging, index.size() * bytes);
}

void ImageFeed::bring(std::span<const int64_t> index) {
  if (!index_copy_.defined()) {
    images_ = set_.images.data();
    index_ = index.data();
    return;
  }
  index_ = index_copy_.data<int64_t>();
  copy_to_device(index_copy_.device(), index_copy_.raw(), index.data(), index.size_bytes());
  if (whole_.defined()) {
    images_ = whole_.data<uint8_t>();
    return;
  }
  if (!std::ranges::equal(slots_[1 - now_].index, index)) announce(index);
  now_ = 1 - now_;
  slots_[1 - now_].index.clear();
  await_background(index_copy_.device());
  images_ = slots_[now_].images.data<uint8_t>();
}

}  // namespace stopgrad
