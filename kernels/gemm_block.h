#pragma once
// The inner loop of all own matrix work: plain convolution, plain gemm and Winograd end here.
#include <cstddef>

namespace stopgrad::cpu {

/// c = a b, or c += a b, on the calling thread. How each element of c is summed depends on k alone, so
/// callers may cut m and n as they like and get the same bits.
template <class A>
struct GemmBlock {
  int m, n, k;
  const A* a;  // [m, k]: element (i, l) at a[i * a_row + l * a_column], so a may be transposed
  ptrdiff_t a_row, a_column;
  const A* b;  // [k, n], rows b_row apart
  ptrdiff_t b_row;
  A* c;  // [m, n], rows c_row apart
  ptrdiff_t c_row;
  bool accumulate;
};

template <class A>
void gemm_block(const GemmBlock<A>&);  // A is float or double

}  // namespace stopgrad::cpu
