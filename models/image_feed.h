#pragma once
// The images of a batch where the device reads them. On the CPU that is the data set itself. On CUDA the
// whole set is copied once if it fits beside the model; a larger one is gathered and copied batch by batch.
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

  /// Points the call's images and index to the images `index` of the set; they live until the next aim().
  template <class T>
  void aim(Augment<T>& call, std::span<const int64_t> index) {
    bring(index);
    call.images = images_;
    call.index = index_;
    call.count = static_cast<int>(index.size());
    call.gathered = gathered_;
    call.height = set_.height;
    call.width = set_.width;
    call.channels = set_.channels;
  }
  bool resident() const { return !gathered_; }

 private:
  void bring(std::span<const int64_t> index);

  const Dataset& set_;
  bool gathered_ = false;
  Tensor copy_, index_copy_;      // on the device
  std::vector<uint8_t> staging_;  // gathered images
  const uint8_t* images_ = nullptr;
  const int64_t* index_ = nullptr;
};

}  // namespace stopgrad
