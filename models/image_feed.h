#pragma once
// The images of a batch where the device reads them. On the CPU that is the data set itself. On CUDA the
// whole set is copied once if it fits beside the model; of a larger one each batch is gathered and copied,
// the next one while the device computes.
#include <memory>
#include <span>
#include <vector>

#include "data/dataset.h"
#include "engine/staging.h"
#include "kernels/augment.h"

namespace stopgrad {

class ImageFeed {
 public:
  /// For batches of at most `batch` images. `room`: bytes of device memory the copy may take; 0 where the
  /// device reads the host's memory.
  ImageFeed(Pool memory, const Dataset& set, int batch, size_t room);
  ~ImageFeed();
  ImageFeed(const ImageFeed&) = delete;
  ImageFeed& operator=(const ImageFeed&) = delete;

  /// Makes `index` the batch that calls see which are launched from now on.
  void bring(uint32_t epoch, std::span<const int64_t> index);
  /// Points the call to the batch: to addresses that are the same for every batch of its slot().
  template <class T>
  void aim(Augment<T>& call) const {
    call.images = resident() ? images_ : slots_[now_].images.data<uint8_t>();
    call.current_epoch = batch_.data<int64_t>();
    call.index = batch_.data<int64_t>() + 1;
    call.count = count_;
    call.gathered = !resident();
    call.height = set_.height;
    call.width = set_.width;
    call.channels = set_.channels;
  }
  /// Says which images the batch after this one will be: their copy starts now, once the device is done with
  /// the batch before.
  void announce(std::span<const int64_t> index);
  bool resident() const { return !slots_[0].images.defined(); }
  /// Which of the two places the batch is in; 0 for a resident set.
  int slot() const { return now_; }

 private:
  /// A batch on its way: gathered in host memory that the device can read, then copied.
  struct Slot {
    Tensor images;  // [batch, height, width, channels] on the device
    uint8_t* staging = nullptr;
    std::vector<int64_t> index;
    std::unique_ptr<Fence> used;  // behind the work on what was here last: a batch, or a stranger's tensor
  };

  const Dataset& set_;
  StepValues batch_;  // [1 + batch]: epoch, index
  Tensor whole_;      // on the device
  Slot slots_[2];
  int now_ = 0, count_ = 0;
  const uint8_t* images_ = nullptr;
};

}  // namespace stopgrad
