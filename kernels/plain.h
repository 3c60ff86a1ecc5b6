#pragma once
// Convolution and matrix product without a library: for double, and where oneDNN is not built in or has
// nothing. The loops know float and double; bf16 is widened before them and rounded once after. Threads share
// the elements of the result, so each sum has one order, whatever their number.
#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "kernels/conv2d.h"
#include "kernels/element.h"
#include "kernels/gemm_block.h"
#include "kernels/loops.h"

namespace stopgrad::cpu::plain {

template <class T>
inline constexpr bool kWidened = !std::is_same_v<T, Acc<T>>;

/// Bytes of scratch for `count` elements of T in the type of sums: none where T is that type.
template <class T>
size_t wide_bytes(int64_t count) {
  return kWidened<T> ? sizeof(Acc<T>) * count : 0;
}

/// `from` itself, or its elements widened into `piece`.
template <class T>
const Acc<T>* wide(const T* from, int64_t count, char* piece, Context& context) {
  if constexpr (!kWidened<T>) {
    return from;
  } else {
    auto* const to = reinterpret_cast<Acc<T>*>(piece);
    each(count, context, [=](int64_t i) { to[i] = Acc<T>(from[i]); });
    return to;
  }
}

/// y itself, or `piece`, from which finish() makes y.
template <class T>
Acc<T>* wide_result(T* y, char* piece) {
  if constexpr (!kWidened<T>) return y;
  else return reinterpret_cast<Acc<T>*>(piece);
}

/// y[rows, columns] = sums (+ bias per column) (+ y when accumulate), rounded once.
template <class T>
void finish(const Acc<T>* sums, int64_t rows, int columns, T* y, const Acc<T>* bias, bool accumulate,
            Context& context) {
  each_row(rows, rows * columns, context, [=](int64_t row) {
    const Acc<T>* sum = sums + row * columns;
    T* const to = y + row * columns;
    if (bias != nullptr) {
#pragma omp simd
      for (int j = 0; j < columns; ++j) put_element(to + j, sum[j] + bias[j], accumulate);
    } else {
#pragma omp simd
      for (int j = 0; j < columns; ++j) put_element(to + j, sum[j], accumulate);
    }
  });
}

/// c[rows, columns] = or += bias per column: what a product is then added to.
template <class A>
void start_with_bias(int rows, int columns, const A* bias, A* c, bool accumulate) {
  for (int i = 0; i < rows; ++i, c += columns) {
    for (int j = 0; j < columns; ++j) c[j] = accumulate ? c[j] + bias[j] : bias[j];
  }
}

/// b [n, k] as [k, n], in `to`.
template <class A>
const A* transpose(int n, int k, const A* b, A* to, Context& context) {
  each_row(k, int64_t{n} * k, context, [=](int64_t l) {
    for (int j = 0; j < n; ++j) to[l * n + j] = b[int64_t{j} * k + l];
  });
  return to;
}

/// The output columns j in [begin, end) whose input column j * stride + tap - padding exists.
struct Columns {
  int begin, end, input;  // input is the column that begin reads

  Columns(const ConvShape& s, int tap) {
    const int offset = tap - s.padding;
    begin = offset < 0 ? (-offset + s.stride - 1) / s.stride : 0;
    end = std::min(s.out_width(), (s.width - 1 - offset + s.stride) / s.stride);
    input = begin * s.stride + offset;
  }
  int count() const { return std::max(0, end - begin); }
};

/// One row of y at a time: for each tap, y[columns, out] += x[columns, in] wt[tap][in, out]; wt is w
/// transposed to [kernel, kernel, channels, out_channels].
template <class A>
void conv_forward(const ConvShape& s, const A* x, const A* wt, A* y, Context& context) {
  const int rows = s.images * s.out_height(), width = s.out_width();
  context.share(rows, [=, &s](int64_t row, int) {
    const int n = static_cast<int>(row) / s.out_height(), i = static_cast<int>(row) % s.out_height();
    A* y_row = y + int64_t{row} * width * s.out_channels;
    std::fill_n(y_row, int64_t{width} * s.out_channels, A(0));
    for (int r = 0; r < s.kernel; ++r) {
      const int input = i * s.stride + r - s.padding;
      if (input < 0 || input >= s.height) continue;
      const A* x_row = x + (int64_t{n} * s.height + input) * s.width * s.channels;
      for (int t = 0; t < s.kernel; ++t) {
        const Columns columns(s, t);
        const A* w = wt + int64_t{r * s.kernel + t} * s.channels * s.out_channels;
        gemm_block<A>({columns.count(), s.out_channels, s.channels, x_row + columns.input * s.channels,
                       s.stride * s.channels, 1, w, s.out_channels, y_row + columns.begin * s.out_channels,
                       s.out_channels, true});
      }
    }
  });
}

/// One row of dx at a time: for each tap, dx[columns, in] += dy[columns, out] w[out, tap, in].
template <class A>
void conv_backward_input(const ConvShape& s, const A* dy, const A* w, A* dx, bool accumulate,
                         Context& context) {
  const int rows = s.images * s.height, w_row = s.kernel * s.kernel * s.channels;
  context.share(rows, [=, &s](int64_t row, int) {
    const int n = static_cast<int>(row) / s.height, input = static_cast<int>(row) % s.height;
    A* dx_row = dx + int64_t{row} * s.width * s.channels;
    if (!accumulate) std::fill_n(dx_row, int64_t{s.width} * s.channels, A(0));
    for (int r = 0; r < s.kernel; ++r) {
      const int above = input + s.padding - r, i = above / s.stride;
      if (above < 0 || above % s.stride != 0 || i >= s.out_height()) continue;
      const A* dy_row = dy + (int64_t{n} * s.out_height() + i) * s.out_width() * s.out_channels;
      for (int t = 0; t < s.kernel; ++t) {
        const Columns columns(s, t);
        gemm_block<A>({columns.count(), s.channels, s.out_channels, dy_row + columns.begin * s.out_channels,
                       s.out_channels, 1, w + (r * s.kernel + t) * s.channels, w_row,
                       dx_row + columns.input * s.channels, s.stride * s.channels, true});
      }
    }
  });
}

/// One tap and up to 32 output channels at a time: dw[out, tap, in] += dy[columns, out]^T x[columns, in],
/// over the rows of all images in order.
template <class A>
void conv_backward_weight(const ConvShape& s, const A* x, const A* dy, A* dw, bool accumulate,
                          Context& context) {
  constexpr int block = 32;
  const int blocks = (s.out_channels + block - 1) / block, taps = s.kernel * s.kernel;
  context.share(blocks * taps, [=, &s](int64_t task, int) {
    const int out = static_cast<int>(task) / taps * block, tap = static_cast<int>(task) % taps,
              r = tap / s.kernel;
    const int outs = std::min(block, s.out_channels - out);
    const Columns columns(s, tap % s.kernel);
    A* dw_block = dw + (int64_t{out} * taps + tap) * s.channels;
    for (int o = 0; o < outs && !accumulate; ++o) {
      std::fill_n(dw_block + int64_t{o} * taps * s.channels, s.channels, A(0));
    }
    for (int row = 0; row < s.images * s.out_height(); ++row) {
      const int n = row / s.out_height(), input = row % s.out_height() * s.stride + r - s.padding;
      if (input < 0 || input >= s.height) continue;
      const A* x_row = x + (int64_t{n} * s.height + input) * s.width * s.channels;
      const A* dy_row = dy + int64_t{row} * s.out_width() * s.out_channels;
      gemm_block<A>({outs, s.channels, columns.count(), dy_row + columns.begin * s.out_channels + out, 1,
                     s.out_channels, x_row + columns.input * s.channels, s.stride * s.channels, dw_block,
                     taps * s.channels, true});
    }
  });
}

/// c[m, n] = or += a b, in blocks of c; b is [k, n], a is [m, k] or its transpose.
template <class A>
void gemm(int m, int n, int k, bool transpose_a, const A* a, const A* b, A* c, bool accumulate,
          Context& context) {
  constexpr int rows = 96, columns = 128;
  const int down = (m + rows - 1) / rows, across = (n + columns - 1) / columns;
  context.share(int64_t{down} * across, [=](int64_t task, int) {
    const int i = static_cast<int>(task) / across * rows, j = static_cast<int>(task) % across * columns;
    gemm_block<A>({std::min(rows, m - i), std::min(columns, n - j), k, a + int64_t{i} * (transpose_a ? 1 : k),
                   transpose_a ? 1 : k, transpose_a ? m : 1, b + j, n, c + int64_t{i} * n + j, n,
                   accumulate});
  });
}

}  // namespace stopgrad::cpu::plain
