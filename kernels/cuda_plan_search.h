#pragma once
// Which of several algorithms is fastest here, by timing them on the stream that will run them.
#include <functional>
#include <vector>

#include "kernels/cuda_context.h"

namespace stopgrad::cuda {

/// Device memory for the search alone: filled, so that nothing computes with NaN.
class SearchMemory {
 public:
  explicit SearchMemory(Context& context) : context_(context) {}
  ~SearchMemory();
  SearchMemory(const SearchMemory&) = delete;
  SearchMemory& operator=(const SearchMemory&) = delete;

  /// Error(Exit::memory) when there is no room.
  void* add(size_t bytes);

 private:
  Context& context_;
  std::vector<void*> held_;
};

/// The candidate with the smallest median of some runs, taken in turns after one that is not counted. One
/// must be 3 % faster than those before it to be preferred. `operands`: bytes that each reads and writes;
/// few enough are in the second cache before a timed run, as in a step. run(i) launches candidate i; false:
/// it cannot run. Returns -1 when none can.
int fastest(Context& context, int candidates, size_t operands, const std::function<bool(int)>& run);

}  // namespace stopgrad::cuda
