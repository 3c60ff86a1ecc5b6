#pragma once
// The shared memory of one block: each variable filled with 0xFF (a NaN in every float type) and fenced by
// red zones, which are checked when the block ends.
#include <cstddef>
#include <string>
#include <vector>

namespace emulator {

class SharedMemory {
 public:
  SharedMemory();
  ~SharedMemory();
  SharedMemory(const SharedMemory&) = delete;
  SharedMemory& operator=(const SharedMemory&) = delete;

  /// The variable that `key` stands for, made at its first use; null when there is no room for it.
  void* find(const void* key, size_t bytes, size_t alignment, const char* name);
  size_t bytes_used() const;
  /// What is wrong with the red zones, or nothing.
  std::string damage() const;
  /// Forgets all variables: the next block starts.
  void reset();

 private:
  struct Variable {
    const void* key;
    size_t offset, bytes;
    const char* name;
    char* memory;
  };
  void wipe(size_t bytes);

  std::vector<Variable> variables_;
  char* arena_;
  size_t used_ = 0;
};

}  // namespace emulator
