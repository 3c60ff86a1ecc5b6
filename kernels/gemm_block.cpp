#include "kernels/gemm_block.h"

#include <algorithm>

#include "kernels/simd.h"

namespace stopgrad::cpu {

namespace {

// The sums of a tile of c, 2 vectors wide, stay in registers; at least 4 are left for a and b.
constexpr int kTileRows = kVectorRegisters == 32 ? 12 : 6;
template <class A>
constexpr int kTileColumns = 2 * kLanes<A>;
constexpr int kDepth = 256;  // rows of b that are packed at a time: 32 KiB at most

/// One tile: c[ROWS, columns] = or += a[ROWS, k] panel[k, kTileColumns].
template <int ROWS, class A>
void tile(const GemmBlock<A>& g, const A* a, int k, const A* panel, A* c, int columns, bool accumulate) {
  constexpr int lanes = kLanes<A>;
  Vector<A> sum[ROWS][2] = {};
  for (int l = 0; l < k; ++l) {
    const Vector<A> b0 = load(panel + l * 2 * lanes), b1 = load(panel + l * 2 * lanes + lanes);
    for (int i = 0; i < ROWS; ++i) {
      const A x = a[i * g.a_row + l * g.a_column];
      sum[i][0] += x * b0;
      sum[i][1] += x * b1;
    }
  }
  A edge[2 * lanes] = {};  // a row of a tile that ends before its second vector does
  for (int i = 0; i < ROWS; ++i) {
    const bool whole = columns == 2 * lanes;
    A* row = whole ? c + i * g.c_row : edge;
    if (!whole && accumulate) std::copy_n(c + i * g.c_row, columns, edge);
    store(row, accumulate ? load(row) + sum[i][0] : sum[i][0]);
    store(row + lanes, accumulate ? load(row + lanes) + sum[i][1] : sum[i][1]);
    if (!whole) std::copy_n(edge, columns, c + i * g.c_row);
  }
}

/// tile<rows> for 1 <= rows <= kTileRows.
template <int ROWS = kTileRows, class A, class... Args>
void tile_of(int rows, const GemmBlock<A>& g, Args... args) {
  if (rows == ROWS) tile<ROWS>(g, args...);
  else if constexpr (ROWS > 1) tile_of<ROWS - 1>(rows, g, args...);
}

/// The panel [depth, kTileColumns] of b's first `columns`, zeros behind them.
template <class A>
void pack(const A* b, ptrdiff_t b_row, int depth, int columns, A* panel) {
  constexpr int lanes = kLanes<A>;
  for (int l = 0; l < depth; ++l, b += b_row, panel += 2 * lanes) {
    if (columns == 2 * lanes) {  // by registers: a call of memcpy for two of them costs more than they do
      store(panel, load(b));
      store(panel + lanes, load(b + lanes));
    } else {
      for (int j = 0; j < 2 * lanes; ++j) panel[j] = j < columns ? b[j] : A(0);
    }
  }
}

}  // namespace

template <class A>
void gemm_block(const GemmBlock<A>& g) {
  constexpr int width = kTileColumns<A>;
  alignas(kVectorBytes) A panel[kDepth * width];
  for (int j = 0; j < g.n; j += width) {
    const int columns = std::min(width, g.n - j);
    for (int l = 0; l < g.k; l += kDepth) {
      const int depth = std::min(kDepth, g.k - l);
      pack(g.b + l * g.b_row + j, g.b_row, depth, columns, panel);
      for (int i = 0; i < g.m; i += kTileRows) {
        tile_of(std::min(kTileRows, g.m - i), g, g.a + i * g.a_row + l * g.a_column, depth, panel,
                g.c + i * g.c_row + j, columns, g.accumulate || l > 0);
      }
    }
  }
}

template void gemm_block(const GemmBlock<float>&);
template void gemm_block(const GemmBlock<double>&);

}  // namespace stopgrad::cpu
