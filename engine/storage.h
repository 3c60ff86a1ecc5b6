#pragma once
// Memory of one device. A pool hands out blocks of a few large chunks and takes them back; from the third
// step of a loop of equal steps on it asks the system for nothing.
#include <cstddef>
#include <cstdint>
#include <memory>

#include "kernels/launch.h"

namespace stopgrad {

class PoolState;

/// A block of a pool. Goes back when the last owner lets go.
class Storage {
 public:
  Storage(std::shared_ptr<PoolState> pool, void* data, size_t bytes);
  ~Storage();
  Storage(const Storage&) = delete;
  Storage& operator=(const Storage&) = delete;

  void* data() const { return data_; }
  size_t bytes() const { return bytes_; }
  const std::shared_ptr<PoolState>& pool() const { return pool_; }

 private:
  std::shared_ptr<PoolState> pool_;
  void* data_;
  size_t bytes_;
};

struct PoolStats {
  size_t live_bytes = 0;     // handed out now
  uint64_t live_blocks = 0;  // a number that names which they are: sum of hashes of address and size
  size_t peak_bytes = 0;     // most that was handed out at a time
  size_t system_bytes = 0;   // asked of the system so far
  int64_t system_requests = 0;
  int64_t allocations = 0;
};

/// A handle; copies share one pool, and blocks keep it alive.
class Pool {
 public:
  /// Chunks are at least `chunk_bytes`; 0: as large as is usual on the device. The context behind `device`
  /// must outlive the pool.
  explicit Pool(Device device, size_t chunk_bytes = 0);
  explicit Pool(std::shared_ptr<PoolState> state) : state_(std::move(state)) {}

  /// 256-byte aligned, not initialised. Throws Error(Exit::memory) when the system has no more.
  std::shared_ptr<Storage> allocate(size_t bytes);
  Device device() const;
  PoolStats stats() const;
  /// Fills every new block with NaN patterns, so that a test sees who reads what nobody wrote.
  void set_poison(bool on);

 private:
  std::shared_ptr<PoolState> state_;
};

}  // namespace stopgrad
