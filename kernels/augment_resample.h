#pragma once
// Crop and resize of the CPU schedule of Augment: uint8 pixels of a box -> planes in [0, 1].
#include <algorithm>
#include <cstdint>
#include <cstring>

#include "kernels/augment_params.h"

namespace stopgrad::cpu::pixels {

/// Sources and weights of every output of an axis, tap by tap: at least two taps. One that does not count has
/// weight 0 and a valid source.
template <class P>
struct Taps {
  int count, out;
  int* source;  // [count, out] elements from the start of what is resampled
  P* weight;    // [count, out]
};

/// `stride` elements lie between two sources; the first is at `begin`. Mirrored: output x is what out - 1 - x
/// was.
template <class P>
void fill(Taps<P>& taps, const ResampleAxis& axis, bool mirror, P divisor, int begin, int stride) {
  taps.count = axis.count();
  taps.out = axis.out;
  for (int to = 0; to < axis.out; ++to) {
    const int x = mirror ? axis.out - 1 - to : to, first = axis.first(x);
    int sum = 0;
    for (int k = 0; k < taps.count; ++k) {
      const int weight = axis.weight(x, first + k);
      taps.source[k * axis.out + to] = (begin + std::min(first + k, axis.size - 1)) * stride;
      taps.weight[k * axis.out + to] = static_cast<P>(weight);
      sum += weight;
    }
    const P scale = 1 / (divisor * static_cast<P>(sum));
    for (int k = 0; k < taps.count; ++k) taps.weight[k * axis.out + to] *= scale;
  }
}

/// Row y of the output before its columns are mixed: to[i] = sum over taps of weight image[source + i], [n].
template <class P>
void mix_rows(const uint8_t* image, const Taps<P>& taps, int y, int n, P* to) {
  const int* source = taps.source + y;
  const P* weight = taps.weight + y;
  const uint8_t *a = image + source[0], *b = image + source[taps.out];
  const P wa = weight[0], wb = weight[taps.out];
  for (int i = 0; i < n; ++i) to[i] = wa * P(a[i]) + wb * P(b[i]);
  for (int k = 2; k < taps.count; ++k) {
    const uint8_t* c = image + source[k * taps.out];
    const P wc = weight[k * taps.out];
    for (int i = 0; i < n; ++i) to[i] += wc * P(c[i]);
  }
}

/// Output x of a row: sum over taps of weight from[source], where a V begins at each source.
template <class V, class P>
V mix(const P* from, Taps<P> taps, int x) {
  const int* source = taps.source + x;
  const P* weight = taps.weight + x;
  V a, b;
  std::memcpy(&a, from + source[0], sizeof(V));
  std::memcpy(&b, from + source[taps.out], sizeof(V));
  V sum = a * weight[0] + b * weight[taps.out];
  for (int k = 2; k < taps.count; ++k) {
    std::memcpy(&a, from + source[k * taps.out], sizeof(V));
    sum += a * weight[k * taps.out];
  }
  return sum;
}

/// A pixel of three channels moves as four, the last without meaning, so that it fits a vector.
template <class P>
struct Quad {
  typedef P type __attribute__((vector_size(4 * sizeof(P))));
};

/// A row of interleaved pixels, and one element more -> a row of every plane. Four pixels become four
/// elements of each plane by a transposition in registers.
template <class P>
void mix_columns(const P* from, Taps<P> taps, P* r, P* g, P* b) {
  using V = typename Quad<P>::type;
  int x = 0;
  for (; x + 4 <= taps.out; x += 4) {
    const V p0 = mix<V>(from, taps, x), p1 = mix<V>(from, taps, x + 1);
    const V p2 = mix<V>(from, taps, x + 2), p3 = mix<V>(from, taps, x + 3);
    const V rg01 = __builtin_shufflevector(p0, p1, 0, 4, 1, 5);
    const V rg23 = __builtin_shufflevector(p2, p3, 0, 4, 1, 5);
    const V b01 = __builtin_shufflevector(p0, p1, 2, 6, 2, 6);
    const V b23 = __builtin_shufflevector(p2, p3, 2, 6, 2, 6);
    const V red = __builtin_shufflevector(rg01, rg23, 0, 1, 4, 5);
    const V green = __builtin_shufflevector(rg01, rg23, 2, 3, 6, 7);
    const V blue = __builtin_shufflevector(b01, b23, 0, 1, 4, 5);
    std::memcpy(r + x, &red, sizeof(V));
    std::memcpy(g + x, &green, sizeof(V));
    std::memcpy(b + x, &blue, sizeof(V));
  }
  for (; x < taps.out; ++x) {
    const V pixel = mix<V>(from, taps, x);
    r[x] = pixel[0];
    g[x] = pixel[1];
    b[x] = pixel[2];
  }
}

/// Crop box -> planes [C, height, width], resampled, flipped and scaled to [0, 1]; `rows` and `columns` have
/// room for the taps, `row` for one row of the box and one element more.
template <int C, class P>
void crop_resize(const uint8_t* image, int image_width, const AugmentParams& p, int height, int width,
                 Taps<P>& rows, Taps<P>& columns, P* row, P* planes) {
  const int n = p.width * C;
  fill(rows, ResampleAxis{p.height, height}, false, P(255), p.top, image_width * C);
  fill(columns, ResampleAxis{p.width, width}, p.flip, P(1), 0, C);
  row[n] = 0;
  for (int y = 0; y < height; ++y) {
    mix_rows(image + p.left * C, rows, y, n, row);
    P* to = planes + y * width;
    if constexpr (C == 3) {
      mix_columns(row, columns, to, to + height * width, to + 2 * height * width);
    } else {
      for (int x = 0; x < width; ++x) to[x] = mix<P>(row, columns, x);
    }
  }
}

}  // namespace stopgrad::cpu::pixels
