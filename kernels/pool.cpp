#include "kernels/pool.h"

#include <algorithm>
#include <type_traits>
#include <utility>

#include "kernels/check.h"
#include "kernels/element.h"
#include "kernels/loops.h"
#include "kernels/simd.h"

namespace stopgrad::cpu {

namespace {

constexpr int kBlock = 64;  // channels summed at a time
constexpr int kRun = 16;    // pixels summed before they join the sum: keeps rounding errors small

struct Range {
  int begin, end;
};

/// Positions of a window that lie inside the image; the window of output i starts at i * stride - padding.
Range inside(int i, int kernel, int stride, int padding, int size) {
  const int start = i * stride - padding;
  return {std::max(0, -start), std::min(kernel, size - start)};
}

/// Outputs whose window covers input h.
Range covering(int h, int kernel, int stride, int padding, int outputs) {
  const int from = h + padding - kernel + 1;
  return {from <= 0 ? 0 : (from + stride - 1) / stride, std::min(outputs, (h + padding) / stride + 1)};
}

/// The part of one output's window that lies inside the image.
struct Window {
  Range rows, columns;
  int64_t row, pixel;  // elements from a row and from a pixel of x to the next
  int kernel;
};

/// The maximum of a channel, or of a register of channels, and where it lies: load(at) is x at the element
/// `at` behind the first one inside. The first maximum wins, and a NaN over all.
template <class Value, class Position, class Load>
std::pair<Value, Position> max_over(const Window& window, Load load) {
  const auto [rows, columns, row, pixel, kernel] = window;
  Value best = load(0);
  Position at = Position{} + (rows.begin * kernel + columns.begin);
  for (int r = rows.begin; r < rows.end; ++r)
    for (int s = columns.begin; s < columns.end; ++s) {
      const Value value = load((r - rows.begin) * row + (s - columns.begin) * pixel);
      const auto better = (!(value <= best)) & (best == best);
      best = better ? value : best;
      at = better ? Position{} + (r * kernel + s) : at;
    }
  return {best, at};
}

/// All channels of one output pixel.
template <class T>
void max_over_window(const Window& window, const T* x, int channels, T* y, uint8_t* winner) {
  using A = Acc<T>;
  using Positions = Vector<std::conditional_t<sizeof(A) == 8, int64_t, int32_t>>;
  int c = 0;
  for (; c + kLanes<A> <= channels; c += kLanes<A>) {
    const auto [best, at] =
        max_over<Vector<A>, Positions>(window, [=](int64_t i) { return load_wide(x + c + i); });
    store_narrow(y + c, best);
    for (int lane = 0; lane < kLanes<A>; ++lane) winner[c + lane] = static_cast<uint8_t>(at[lane]);
  }
  for (; c < channels; ++c) {
    const auto [best, at] = max_over<A, int>(window, [=](int64_t i) { return load_element(x + c + i); });
    store_element(y + c, best);
    winner[c] = static_cast<uint8_t>(at);
  }
}

}  // namespace

template <class T>
void run(const MaxPoolForward<T>& call, Context& context) {
  check_window(call);
  const int height = call.out_height(), width = call.out_width();
  const int64_t all = int64_t{call.images} * height, window = call.kernel * call.kernel;
  each_row(all, all * width * call.channels * window, context, [=](int64_t row) {
    const int n = static_cast<int>(row / height), i = static_cast<int>(row % height);
    for (int j = 0; j < width; ++j) {
      const Range rows = inside(i, call.kernel, call.stride, call.padding, call.height);
      const Range columns = inside(j, call.kernel, call.stride, call.padding, call.width);
      const int top = i * call.stride - call.padding + rows.begin;
      const int left = j * call.stride - call.padding + columns.begin;
      const int64_t pixel = call.channels, first = (int64_t{n} * call.height + top) * call.width + left;
      const int64_t out = (row * width + j) * pixel;
      max_over_window(Window{rows, columns, call.width * pixel, pixel, call.kernel}, call.x + first * pixel,
                      call.channels, call.y + out, call.winner + out);
    }
  });
}

template <class T>
void run(const MaxPoolBackward<T>& call, Context& context) {
  check_window(call);
  const int height = call.out_height(), width = call.out_width(), channels = call.channels;
  const int64_t all = int64_t{call.images} * call.height;
  each_row(all, all * call.width * channels * call.kernel, context, [=](int64_t row) {
    const int n = static_cast<int>(row / call.height), h = static_cast<int>(row % call.height);
    for (int w = 0; w < call.width; ++w) {
      const Range rows = covering(h, call.kernel, call.stride, call.padding, height);
      const Range columns = covering(w, call.kernel, call.stride, call.padding, width);
      for (int first = 0; first < channels; first += kBlock) {
        const int block = std::min(kBlock, channels - first);
        Acc<T> sum[kBlock] = {};
        for (int i = rows.begin; i < rows.end; ++i)
          for (int j = columns.begin; j < columns.end; ++j) {
            const int64_t out = ((int64_t{n} * height + i) * width + j) * channels + first;
            const int r = h + call.padding - i * call.stride, s = w + call.padding - j * call.stride;
            const int position = r * call.kernel + s;
// Loaded in any case: a load under a condition is not vectorised.
#pragma omp simd
            for (int c = 0; c < block; ++c) {
              const Acc<T> dy = load_element(call.dy + out + c);
              sum[c] += call.winner[out + c] == position ? dy : Acc<T>(0);
            }
          }
        T* dx = call.dx + ((int64_t{n} * call.height + h) * call.width + w) * channels + first;
#pragma omp simd
        for (int c = 0; c < block; ++c) put_element(dx + c, sum[c], call.accumulate);
      }
    }
  });
}

template <class T>
void run(const AveragePoolForward<T>& call, Context& context) {
  const int channels = call.channels;
  each_row(call.images, int64_t{call.images} * call.pixels * channels, context, [=](int64_t n) {
    for (int first = 0; first < channels; first += kBlock) {
      const int block = std::min(kBlock, channels - first);
      Acc<T> sum[kBlock] = {};
      for (int begin = 0; begin < call.pixels; begin += kRun) {
        Acc<T> run[kBlock] = {};
        for (int p = begin; p < std::min(begin + kRun, call.pixels); ++p) {
          const T* x = call.x + (n * call.pixels + p) * channels + first;
#pragma omp simd
          for (int c = 0; c < block; ++c) run[c] += load_element(x + c);
        }
#pragma omp simd
        for (int c = 0; c < block; ++c) sum[c] += run[c];
      }
      T* y = call.y + n * channels + first;
      const Acc<T> pixels = static_cast<Acc<T>>(call.pixels);
#pragma omp simd
      for (int c = 0; c < block; ++c) store_element(y + c, sum[c] / pixels);
    }
  });
}

template <class T>
void run(const AveragePoolBackward<T>& call, Context& context) {
  const int channels = call.channels;
  each_row(call.images, int64_t{call.images} * call.pixels * channels, context, [=](int64_t n) {
    for (int p = 0; p < call.pixels; ++p) {
      const T* dy = call.dy + n * channels;
      T* dx = call.dx + (n * call.pixels + p) * channels;
      const Acc<T> pixels = static_cast<Acc<T>>(call.pixels);
#pragma omp simd
      for (int c = 0; c < channels; ++c) put_element(dx + c, load_element(dy + c) / pixels, call.accumulate);
    }
  });
}

template void run(const MaxPoolForward<float>&, Context&);
template void run(const MaxPoolForward<bf16>&, Context&);
template void run(const MaxPoolForward<double>&, Context&);
template void run(const MaxPoolBackward<float>&, Context&);
template void run(const MaxPoolBackward<bf16>&, Context&);
template void run(const MaxPoolBackward<double>&, Context&);
template void run(const AveragePoolForward<float>&, Context&);
template void run(const AveragePoolForward<bf16>&, Context&);
template void run(const AveragePoolForward<double>&, Context&);
template void run(const AveragePoolBackward<float>&, Context&);
template void run(const AveragePoolBackward<bf16>&, Context&);
template void run(const AveragePoolBackward<double>&, Context&);

}  // namespace stopgrad::cpu
