#pragma once
// The k largest of each row, by value then by lower index.
#include <cstdint>

#include "kernels/context.h"
#include "kernels/dtype.h"

namespace stopgrad {

/// Merges `values` [rows, count], whose column j is item first + j, into the best k of each row so far.
/// Call it with `fresh` on the first part of a bank and without on the next ones, in any order of parts.
/// Items of NaN or -infinity never enter.
struct TopK {
  int rows, count, k;
  int64_t first;
  const float* values;
  float* best;          // [rows, k], descending; empty places hold -infinity
  int64_t* best_index;  // [rows, k]; empty places hold -1
  bool fresh;
};

namespace cpu {
void run(const TopK&, Context&);
}  // namespace cpu
namespace cuda {
void run(const TopK&, Context&);
}  // namespace cuda

}  // namespace stopgrad
