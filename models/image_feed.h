#pragma once
// The images of a batch where the device reads them. On the CPU that is the data set itself. On CUDA the
// whole set is copied once if it fits beside the model; of a larger one each batch is gathered and copied,
// the next one while the device computes.
#include <span>
#include <vector>

#include "data/dataset.h"
#include "engine/tensor.h"
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

  /// Points the call's images and index to the images `index` of the set; they live until the next aim().
  template <class T>
  void aim(Augment<T>& call, std::span<const int64_t> index) {
    bring(index);
    call.images = images_;
    call.index = index_;
    call.count = static_cast<int>(index.size());
    call.gathered = !resident();
    call.height = set_.height;
    call.width = set_.width;
    call.channels = set_.channels;
  }
  /// Says which images the next aim() will want: their copy starts now. Work on what the last aim() gave must
  /// be launched already, and done by the next.
  void announce(std::span<const int64_t> index);
  bool resident() const { return !slots_[0].images.defined(); }

 private:
  /// A batch on its way: gathered in host memory that the device can read, then copied.
  struct Slot {
    Tensor images;  // [batch, height, width, channels] on the device
    uint8_t* staging = nullptr;
    std::vector<int64_t> index;
  };
  void bring(std::span<const int64_t> index);

  const Dataset& set_;
  Tensor whole_, index_copy_;  // on the device
  Slot slots_[2];
  int now_ = 0;
  const uint8_t* images_ = nullptr;
  const int64_t* index_ = nullptr;
};

}  // namespace stopgrad
