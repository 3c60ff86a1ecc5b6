#include "tests/emulator/shared_memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <numeric>
#include <stdexcept>

#include "tests/emulator/sanitizers.h"

namespace emulator {

namespace {
constexpr size_t kArena = 512 << 10, kRedZone = 64;

size_t round_up(size_t bytes, size_t to) { return (bytes + to - 1) / to * to; }
}  // namespace

SharedMemory::SharedMemory() {
  void* memory = mmap(nullptr, kArena, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw std::runtime_error("emulator: no memory for shared variables");
  arena_ = static_cast<char*>(memory);
  wipe(kArena);
  close_memory(arena_, kArena);
}

SharedMemory::~SharedMemory() {
  open_memory(arena_, kArena);
  munmap(arena_, kArena);
}

void* SharedMemory::find(const void* key, size_t bytes, size_t alignment, const char* name) {
  const Quiet quiet;
  for (const Variable& variable : variables_)
    if (variable.key == key) return variable.memory;
  const size_t offset = round_up(used_ + kRedZone, std::max<size_t>(alignment, 16));
  if (offset + bytes + 2 * kRedZone > kArena) return nullptr;
  used_ = offset + bytes;
  char* memory = arena_ + offset;
  open_memory(memory, bytes);
#ifdef EMULATOR_TSAN
  // Fresh heap: with one address for all blocks, each would seem to race with the one before it.
  memory = static_cast<char*>(std::aligned_alloc(1024, round_up(bytes, 1024)));
  std::memset(memory, 0xff, bytes);
#endif
  variables_.push_back({key, offset, bytes, name, memory});
  return memory;
}

size_t SharedMemory::bytes_used() const {
  return std::accumulate(variables_.begin(), variables_.end(), size_t{0},
                         [](size_t sum, const Variable& v) { return sum + v.bytes; });
}

std::string SharedMemory::damage() const {
#ifndef EMULATOR_ASAN  // which has seen the write itself
  size_t from = 0;
  for (size_t i = 0; i <= variables_.size(); ++i) {
    const size_t to = i < variables_.size() ? variables_[i].offset : used_ + kRedZone;
    const char* const hit =
        std::find_if(arena_ + from, arena_ + to, [](char byte) { return byte != char(0xff); });
    if (hit != arena_ + to)
      return "write outside shared memory: " + std::to_string(hit - arena_ - from) +
             " bytes past the end of " + (i ? variables_[i - 1].name : "nothing, before the first variable");
    if (i < variables_.size()) from = to + variables_[i].bytes;
  }
#endif
  return {};
}

void SharedMemory::reset() {
  const size_t dirty = std::min(kArena, round_up(used_ + 2 * kRedZone, 64));
  open_memory(arena_, dirty);
#ifdef EMULATOR_TSAN
  for (const Variable& variable : variables_) std::free(variable.memory);
#endif
  wipe(dirty);
  close_memory(arena_, kArena);
  variables_.clear();
  used_ = 0;
}

/// Not memset: ThreadSanitizer watches that one wherever it is called.
EMULATOR_UNWATCHED void SharedMemory::wipe(size_t bytes) {
  auto* const words = reinterpret_cast<volatile uint64_t*>(arena_);
  for (size_t i = 0; i < bytes / sizeof(uint64_t); ++i) words[i] = ~uint64_t{0};
}

}  // namespace emulator
