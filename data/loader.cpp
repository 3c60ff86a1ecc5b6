#include "data/loader.h"

#include <algorithm>
#include <bit>

#include "kernels/check.h"
#include "kernels/philox.h"

namespace stopgrad {

namespace {

/// A keyed permutation of [0, 4^half_bits): a Feistel network whose round function is Philox.
uint64_t feistel(uint64_t seed, uint32_t epoch, int half_bits, uint64_t x) {
  constexpr uint32_t rounds = 8;
  const uint32_t mask = static_cast<uint32_t>((uint64_t{1} << half_bits) - 1);
  auto left = static_cast<uint32_t>(x >> half_bits), right = static_cast<uint32_t>(x) & mask;
  for (uint32_t round = 0; round < rounds; ++round) {
    const uint32_t mixed = philox(seed, Purpose::order, epoch, round, right, 0).v[0] & mask;
    const uint32_t next = left ^ mixed;
    left = right;
    right = next;
  }
  return uint64_t{left} << half_bits | right;
}

}  // namespace

int64_t shuffled(uint64_t seed, uint32_t epoch, int64_t count, int64_t position) {
  ENSURE(position >= 0 && position < count, "shuffled: position {} of an order of {}", position, count);
  const int bits = std::bit_width(static_cast<uint64_t>(count - 1));
  const int half_bits = std::max(1, (bits + 1) / 2);
  auto x = static_cast<uint64_t>(position);
  // Cycle walking: steps through places past the end lead back into [0, count), to another place for another
  // start. At most 4 steps on average, as the network permutes at most 4 count numbers.
  do x = feistel(seed, epoch, half_bits, x);
  while (x >= static_cast<uint64_t>(count));
  return static_cast<int64_t>(x);
}

Loader::Loader(int64_t count, int batch, uint64_t seed, bool drop_last)
    : count_(count), batch_(batch), seed_(seed), drop_last_(drop_last) {
  if (batch < 1) fail(Exit::config, "loader: the batch is {} images; make it at least 1", batch);
  if (count < 1) fail(Exit::config, "loader: the data set holds {} images; choose one that has some", count);
  if (drop_last && count < batch) {
    fail(Exit::config,
         "loader: {} images cannot fill a batch of {}; make the batch at most {}, or use more images", count,
         batch, count);
  }
}

int64_t Loader::batches() const { return (count_ + (drop_last_ ? 0 : batch_ - 1)) / batch_; }

int Loader::batch_size(int64_t batch_number) const {
  ENSURE(batch_number >= 0 && batch_number < batches(), "loader: batch {} of an epoch of {}", batch_number,
         batches());
  return static_cast<int>(std::min<int64_t>(batch_, count_ - batch_number * batch_));
}

void Loader::indices(uint32_t epoch, int64_t batch_number, std::span<int64_t> to) const {
  const int size = batch_size(batch_number);
  ENSURE(to.size() == static_cast<size_t>(size), "loader: batch {} holds {} images, there is room for {}",
         batch_number, size, to.size());
  for (int i = 0; i < size; ++i) {
    to[static_cast<size_t>(i)] = shuffled(seed_, epoch, count_, batch_number * batch_ + i);
  }
}

}  // namespace stopgrad
