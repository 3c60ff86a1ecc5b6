#include "models/image_feed.h"

#include <algorithm>

#include "kernels/memory.h"

namespace stopgrad {

ImageFeed::ImageFeed(Pool memory, const Dataset& set, int batch, size_t room)
    : set_(set), batch_(memory, {1 + batch}, DType::i64), images_(set.images.data()) {
  if (memory.device().is_cpu()) return;
  if (set.images.size() <= room) {
    whole_ = Tensor(memory, {set.count, set.height, set.width, set.channels}, DType::u8);
    whole_.from_host(set.images.data());
    images_ = whole_.data<uint8_t>();
    return;
  }
  for (Slot& slot : slots_) {
    slot.images = Tensor(memory, {batch, set.height, set.width, set.channels}, DType::u8);
    slot.staging = static_cast<uint8_t*>(allocate_staging(memory.device(), slot.images.bytes()));
    slot.used = std::make_unique<Fence>(memory.device());
    slot.used->mark();  // what the pool's memory held before may still be read by kernels under way
  }
}

ImageFeed::~ImageFeed() {
  if (resident()) return;
  finish_background(slots_[0].images.device());  // a batch that nobody will fetch may still be on its way
  for (Slot& slot : slots_)
    if (slot.staging) free_staging(slot.images.device(), slot.staging);
}

void ImageFeed::announce(std::span<const int64_t> index) {
  if (resident()) return;
  Slot& next = slots_[1 - now_];
  if (!next.index.empty()) finish_background(next.images.device());  // of images that nobody came for
  next.used->wait();
  next.index.assign(index.begin(), index.end());
  const auto bytes = static_cast<size_t>(set_.image_bytes());
  for (size_t i = 0; i < index.size(); ++i)
    std::copy_n(set_.image(index[i]), bytes, next.staging + i * bytes);
  copy_in_background(next.images.device(), next.images.raw(), next.staging, index.size() * bytes);
}

void ImageFeed::bring(uint32_t epoch, std::span<const int64_t> index) {
  count_ = static_cast<int>(index.size());
  std::vector<int64_t> batch(batch_.count());
  batch[0] = epoch;
  std::ranges::copy(index, batch.begin() + 1);
  batch_.set(batch.data());
  if (resident()) return;
  slots_[now_].used->mark();
  if (!std::ranges::equal(slots_[1 - now_].index, index)) announce(index);
  now_ = 1 - now_;
  slots_[1 - now_].index.clear();
  await_background(slots_[now_].images.device());
}

}  // namespace stopgrad
