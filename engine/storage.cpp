#include "engine/storage.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "kernels/check.h"
#include "kernels/hash.h"
#include "kernels/memory.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(address, size) ((void)(address), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(address, size) ((void)(address), (void)(size))
#endif

namespace stopgrad {

namespace {
constexpr size_t kAlignment = 256;
constexpr size_t kPage = size_t{2} << 20;  // huge pages: fewer faults in the first step

size_t round_up(size_t bytes, size_t to) { return (bytes + to - 1) / to * to; }

uint64_t name_of(const char* address, size_t bytes) {
  const uint64_t block[] = {reinterpret_cast<uint64_t>(address), bytes};
  return fnv1a({reinterpret_cast<const char*>(block), sizeof block});
}
}  // namespace

/// Best fit over address-ordered blocks that merge with their free neighbours.
class PoolState {
 public:
  PoolState(Device device, size_t chunk_bytes)
      : device_(device), chunk_bytes_(chunk_bytes > 0 ? chunk_bytes : usual_chunk(device)) {}
  ~PoolState() {
    for (auto [address, bytes] : chunks_) {
      open(address, bytes);
      free_memory(device_, address, bytes);
    }
  }

  char* take(size_t bytes) {
    auto best = free_.lower_bound({bytes, nullptr});
    if (best == free_.end()) {
      grow(bytes);
      best = free_.lower_bound({bytes, nullptr});
    }
    const auto [size, address] = *best;
    free_.erase(best);
    blocks_[address] = {bytes, false};
    if (size > bytes) {
      blocks_[address + bytes] = {size - bytes, true};
      free_.insert({size - bytes, address + bytes});
    }
    open(address, bytes);
    if (poison_) fill_memory(device_, address, 0xff, bytes);
    stats_.live_bytes += bytes;
    stats_.live_blocks += name_of(address, bytes);
    stats_.peak_bytes = std::max(stats_.peak_bytes, stats_.live_bytes);
    ++stats_.allocations;
    return address;
  }

  void give_back(char* address) {
    auto block = blocks_.find(address);
    stats_.live_bytes -= block->second.bytes;
    stats_.live_blocks -= name_of(address, block->second.bytes);
    close(address, block->second.bytes);
    block->second.free = true;
    block = merge_with_next(block);
    if (block != blocks_.begin() && !chunks_.contains(block->first)) {
      auto before = std::prev(block);
      if (before->second.free) {
        free_.erase({before->second.bytes, before->first});
        block = merge_with_next(before);
      }
    }
    free_.insert({block->second.bytes, block->first});
  }

  Device device_;
  PoolStats stats_;
  bool poison_ = false;

 private:
  struct Block {
    size_t bytes;
    bool free;
  };
  using Blocks = std::map<char*, Block>;

  // AddressSanitizer watches free blocks; memory of another device is none of its business.
  void open([[maybe_unused]] char* address, [[maybe_unused]] size_t bytes) {
    if (device_.is_cpu()) ASAN_UNPOISON_MEMORY_REGION(address, bytes);
  }
  void close([[maybe_unused]] char* address, [[maybe_unused]] size_t bytes) {
    if (device_.is_cpu()) ASAN_POISON_MEMORY_REGION(address, bytes);
  }

  void grow(size_t bytes) {
    const size_t chunk = round_up(std::max(bytes, chunk_bytes_), device_.is_cpu() ? kPage : kAlignment);
    void* memory = allocate_memory(device_, chunk);
    if (memory == nullptr)
      fail(Exit::memory,
           "out of memory: a chunk of {} MiB was refused; {} MiB are in use. Use a smaller batch.",
           chunk >> 20, stats_.live_bytes >> 20);
    auto* address = static_cast<char*>(memory);
    close(address, chunk);
    chunks_[address] = chunk;
    blocks_[address] = {chunk, true};
    free_.insert({chunk, address});
    stats_.system_bytes += chunk;
    ++stats_.system_requests;
  }

  /// A block never merges across the start of another chunk, even where the system put two side by side.
  Blocks::iterator merge_with_next(Blocks::iterator block) {
    auto next = std::next(block);
    if (next != blocks_.end() && next->second.free && !chunks_.contains(next->first) &&
        block->first + block->second.bytes == next->first) {
      free_.erase({next->second.bytes, next->first});
      block->second.bytes += next->second.bytes;
      blocks_.erase(next);
    }
    return block;
  }

  size_t chunk_bytes_;
  std::map<char*, size_t> chunks_;
  Blocks blocks_;
  std::set<std::pair<size_t, char*>> free_;
};

Storage::Storage(std::shared_ptr<PoolState> pool, void* data, size_t bytes)
    : pool_(std::move(pool)), data_(data), bytes_(bytes) {}

Storage::~Storage() { pool_->give_back(static_cast<char*>(data_)); }

Pool::Pool(Device device, size_t chunk_bytes) : state_(std::make_shared<PoolState>(device, chunk_bytes)) {}

std::shared_ptr<Storage> Pool::allocate(size_t bytes) {
  const size_t rounded = round_up(std::max<size_t>(bytes, 1), kAlignment);
  return std::make_shared<Storage>(state_, state_->take(rounded), rounded);
}

Device Pool::device() const { return state_->device_; }
PoolStats Pool::stats() const { return state_->stats_; }
void Pool::set_poison(bool on) { state_->poison_ = on; }

}  // namespace stopgrad
