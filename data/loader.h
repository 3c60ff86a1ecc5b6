#pragma once
// Which images make up a batch. The order of an epoch is a keyed permutation: any place of it can be computed
// at once, so there is no state to keep, to save or to share between workers.
#include <cstdint>
#include <span>

namespace stopgrad {

/// The image at `position` of the order of `epoch`: a permutation of [0, count) for each (seed, epoch).
int64_t shuffled(uint64_t seed, uint32_t epoch, int64_t count, int64_t position);

/// Batches of an epoch over `count` images.
class Loader {
 public:
  /// drop_last leaves out the images that do not fill a batch (others in each epoch). Wrong sizes, and a
  /// batch that `count` cannot fill once, are Error(Exit::config).
  Loader(int64_t count, int batch, uint64_t seed, bool drop_last = true);

  /// Batches in an epoch
  int64_t batches() const;
  /// Images in a batch; only the last one may be smaller, and only without drop_last.
  int batch_size(int64_t batch_number) const;
  /// Writes the images of a batch; `to` has batch_size(batch_number) elements.
  void indices(uint32_t epoch, int64_t batch_number, std::span<int64_t> to) const;

 private:
  int64_t count_;
  int batch_;
  uint64_t seed_;
  bool drop_last_;
};

}  // namespace stopgrad
