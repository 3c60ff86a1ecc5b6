#include "kernels/winograd.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "kernels/check.h"
#include "kernels/gemm_block.h"
#include "kernels/loops.h"
#include "kernels/scratch_pieces.h"
#include "kernels/simd.h"

namespace stopgrad::cpu::winograd {

// A tile of 4x4 outputs y comes from a patch of 6x6 inputs d and the 3x3 weights g of each channel pair:
//   y = A^T [ sum over channels of (G g G^T) * (B^T d B) ] A        (Lavin and Gray 2016, section 4)
// The 36 products are matrix products over channels, one per position. The gradient of the weights is the
// same map read backwards: dg = G^T [ sum over tiles of (A dy A^T) * (B^T d B) ] G. The matrices interpolate
// at 0, +-3/4, +-3/2 and infinity: half the rounding error of 0, +-1, +-2.

namespace {

template <int ROWS, int COLUMNS>
struct Matrix {
  float at[ROWS][COLUMNS];
  static constexpr int rows = ROWS, columns = COLUMNS;
};

template <int ROWS, int COLUMNS>
constexpr Matrix<COLUMNS, ROWS> transposed(const Matrix<ROWS, COLUMNS>& m) {
  Matrix<COLUMNS, ROWS> t{};
  for (int i = 0; i < ROWS; ++i) {
    for (int j = 0; j < COLUMNS; ++j) t.at[j][i] = m.at[i][j];
  }
  return t;
}

constexpr Matrix<6, 6> kInput = {{{1, 0, -20 / 9.f, 0, 64 / 81.f, 0},
                                  {0, 8 / 9.f, 32 / 27.f, -32 / 81.f, -128 / 243.f, 0},
                                  {0, -8 / 9.f, 32 / 27.f, 32 / 81.f, -128 / 243.f, 0},
                                  {0, -1 / 9.f, -2 / 27.f, 16 / 81.f, 32 / 243.f, 0},
                                  {0, 1 / 9.f, -2 / 27.f, -16 / 81.f, 32 / 243.f, 0},
                                  {0, 81 / 64.f, 0, -45 / 16.f, 0, 1}}};  // B^T
constexpr Matrix<6, 3> kWeight = {
    {{1, 0, 0}, {1, .75f, .5625f}, {1, -.75f, .5625f}, {1, 1.5f, 2.25f}, {1, -1.5f, 2.25f}, {0, 0, 1}}};  // G
constexpr Matrix<4, 6> kOutput = {{{1, 1, 1, 1, 1, 0},
                                   {0, .75f, -.75f, 1.5f, -1.5f, 0},
                                   {0, .5625f, .5625f, 2.25f, 2.25f, 0},
                                   {0, .421875f, -.421875f, 3.375f, -3.375f, 1}}};  // A^T

using Lanes = Vector<float>;  // one position of a patch, as many channels as a register holds
constexpr int kWidth = kLanes<float>;
constexpr int kPositions = 36;
constexpr int kBlock = 16;  // channels come in multiples of this, so that no register is ever half full

/// Row I of M times the column that starts at `in`, its elements `step` apart. Zeros of M cost nothing.
template <Matrix M, int I>
inline Lanes row_times(const Lanes* in, int step) {
  Lanes sum = {};
  [&]<int... K>(std::integer_sequence<int, K...>) {
    ((M.at[I][K] == 0 ? void() : void(sum += M.at[I][K] * in[K * step])), ...);
  }
  (std::make_integer_sequence<int, M.columns>{});
  return sum;
}

/// out = M in M^T
template <Matrix M>
inline void transform(const Lanes* in, Lanes* out) {
  constexpr int rows = M.rows, columns = M.columns;
  Lanes half[rows * columns];  // M in
  [&]<int... I>(std::integer_sequence<int, I...>) {
    for (int j = 0; j < columns; ++j) ((half[I * columns + j] = row_times<M, I>(in + j, columns)), ...);
    for (int i = 0; i < rows; ++i) ((out[i * rows + I] = row_times<M, I>(half + i * columns, 1)), ...);
  }
  (std::make_integer_sequence<int, rows>{});
}

/// The tiles of a batch of images: 4x4 outputs each, in rows over each image.
struct Tiles {
  int height, width, down, across, count;

  explicit Tiles(const ConvShape& s)
      : height(s.height),
        width(s.width),
        down((height + 3) / 4),
        across((width + 3) / 4),
        count(s.images * down * across) {}
};

/// A tile's SIZE x SIZE patch, which begins `margin` before it: where it lies and what of it is inside the
/// image.
template <int SIZE>
struct Patch {
  int64_t origin;  // its first pixel, counted from the first image on
  int width, top, bottom, left, right;

  Patch(const Tiles& t, int tile, int margin) : width(t.width) {
    const int n = tile / (t.down * t.across), place = tile % (t.down * t.across);
    const int y = place / t.across * 4 - margin, x = place % t.across * 4 - margin;
    origin = (int64_t{n} * t.height + y) * t.width + x;
    top = std::max(0, -y), bottom = std::min(SIZE, t.height - y);
    left = std::max(0, -x), right = std::min(SIZE, t.width - x);
  }
  bool whole() const { return bottom - top == SIZE && right - left == SIZE; }

  /// f(position, pixel) for the pixels inside the image.
  template <class F>
  void each_pixel(F f) const {
    if (whole()) {
      for (int r = 0; r < SIZE; ++r)
        for (int s = 0; s < SIZE; ++s) f(r * SIZE + s, origin + r * width + s);
    } else {
      for (int r = top; r < bottom; ++r)
        for (int s = left; s < right; ++s) f(r * SIZE + s, origin + r * width + s);
    }
  }
};

/// Elements between two positions of a matrix of `count` elements per position. Not a power of two: the 36
/// streams of a transform would fall into the same few sets of every cache.
constexpr int64_t position_stride(int64_t count) { return count + kBlock; }

/// The transformed patches of tiles [first, last): to [position][tile][channel] with `stride` between
/// positions.
template <Matrix M>
void transform_patches(const Tiles& t, int first, int last, const float* x, int channels, float* out,
                       int64_t stride) {
  constexpr int size = M.columns, margin = size == 6 ? 1 : 0;
  for (int tile = first; tile < last; ++tile, out += channels) {
    const Patch<size> patch(t, tile, margin);
    for (int c = 0; c < channels; c += kWidth) {
      Lanes in[size * size], transformed[kPositions];
      if (!patch.whole()) std::fill(std::begin(in), std::end(in), Lanes{});
      patch.each_pixel([&](int position, int64_t pixel) { in[position] = load(x + pixel * channels + c); });
      transform<M>(in, transformed);
      for (int p = 0; p < kPositions; ++p) store(out + p * stride + c, transformed[p]);
    }
  }
}

/// y of tiles [first, last) from the products [position][tile][channel].
void transform_products(const Tiles& t, int first, int last, const float* products, int64_t stride,
                        int channels, float* y, bool accumulate) {
  for (int tile = first; tile < last; ++tile, products += channels) {
    const Patch<4> patch(t, tile, 0);
    for (int c = 0; c < channels; c += kWidth) {
      Lanes product[kPositions], out[16];
      for (int p = 0; p < kPositions; ++p) product[p] = load(products + p * stride + c);
      transform<kOutput>(product, out);
      patch.each_pixel([&](int position, int64_t pixel) {
        float* to = y + pixel * channels + c;
        store(to, accumulate ? load(to) + out[position] : out[position]);
      });
    }
  }
}

/// G g G^T for all channel pairs, to [position][in][out], in blocks of 16x16 pairs. `flipped`: by input,
/// where in and out exchange their roles and the weights are turned by half a turn.
void transform_weights(const float* w, int in, int out, bool flipped, float* u, int64_t stride,
                       Context& context) {
  const int across = out / kBlock;
  context.share(in / kBlock * across, [=](int64_t block, int) {
    const int i0 = static_cast<int>(block) / across * kBlock, o0 = static_cast<int>(block) % across * kBlock;
    float g[9][kBlock][kBlock];  // [tap][in][out]
    for (int tap = 0; tap < 9; ++tap) {
      for (int o = 0; o < kBlock; ++o) {
        for (int i = 0; i < kBlock; ++i) {
          g[tap][i][o] = flipped ? w[(int64_t{i0 + i} * 9 + 8 - tap) * out + o0 + o]
                                 : w[(int64_t{o0 + o} * 9 + tap) * in + i0 + i];
        }
      }
    }
    for (int i = 0; i < kBlock; ++i) {
      for (int o = 0; o < kBlock; o += kWidth) {
        Lanes taps[9], transformed[kPositions];
        for (int tap = 0; tap < 9; ++tap) taps[tap] = load(&g[tap][i][o]);
        transform<kWeight>(taps, transformed);
        for (int p = 0; p < kPositions; ++p)
          store(u + p * stride + int64_t{i0 + i} * out + o0 + o, transformed[p]);
      }
    }
  });
}

/// Forward, and by input with `flipped` weights: [images, height, width, in] to the same with `out` channels.
/// Each thread takes tiles by the chunk, so that their patches and products stay in its cache.
void convolve(const ConvShape& s, const float* x, int in, const float* w, int out, bool flipped, float* y,
              bool accumulate, Context& context) {
  const Tiles tiles(s);
  const int chunk = std::min(48, (tiles.count + context.threads() - 1) / context.threads());
  const int64_t u_stride = position_stride(int64_t{in} * out),
                x_stride = position_stride(int64_t{chunk} * in),
                y_stride = position_stride(int64_t{chunk} * out);
  const int64_t per_thread = kPositions * (x_stride + y_stride);
  const auto [u_piece, chunks] = scratch_pieces(
      context, {sizeof(float) * kPositions * u_stride, sizeof(float) * per_thread * context.threads()});
  float *const u = reinterpret_cast<float*>(u_piece), *const buffers = reinterpret_cast<float*>(chunks);
  transform_weights(w, in, out, flipped, u, u_stride, context);
  context.share((tiles.count + chunk - 1) / chunk, [&, u = u](int64_t task, int thread) {
    const int first = static_cast<int>(task) * chunk, last = std::min(first + chunk, tiles.count);
    float* const patches = buffers + thread * per_thread;
    float* const products = patches + kPositions * x_stride;
    transform_patches<kInput>(tiles, first, last, x, in, patches, x_stride);
    for (int p = 0; p < kPositions; ++p) {
      gemm_block<float>({last - first, out, in, patches + p * x_stride, in, 1, u + p * u_stride, out,
                         products + p * y_stride, out, false});
    }
    transform_products(tiles, first, last, products, y_stride, out, y, accumulate);
  });
}

}  // namespace

namespace {
bool possible(const ConvShape& s) {
  return s.kernel == 3 && s.stride == 1 && s.padding == 1 && s.channels % kBlock == 0 &&
         s.out_channels % kBlock == 0;
}
void check(const ConvShape& s) {
  ENSURE(possible(s),
         "winograd: computes 3x3 convolutions of stride 1 and padding 1 with multiples of {} channels",
         kBlock);
}
}  // namespace

bool suits(const ConvShape& s) {
  const int64_t tiles = Tiles(s).count, pixels = int64_t{s.images} * s.height * s.width;
  // Transforms cost as much per channel as few products do: narrow layers do not win. Nor do images that fill
  // their tiles badly, nor so few tiles that transforming the weights is most of the work.
  return possible(s) && std::min(s.channels, s.out_channels) >= 64 && 2 * 16 * tiles <= 3 * pixels &&
         tiles >= 64;
}

void run(const ConvForward<float>& call, Context& context) {
  const ConvShape& s = call.shape;
  check(s);
  convolve(s, call.x, s.channels, call.w, s.out_channels, false, call.y, false, context);
}

void run(const ConvBackwardInput<float>& call, Context& context) {
  const ConvShape& s = call.shape;
  check(s);
  convolve(s, call.dy, s.out_channels, call.w, s.channels, true, call.dx, call.accumulate, context);
}

void run(const ConvBackwardWeight<float>& call, Context& context) {
  const ConvShape& s = call.shape;
  check(s);
  const int in = s.channels, out = s.out_channels;
  const Tiles tiles(s);
  // Patches of both sides for as many tiles as make 9 MiB: they stay in a usual last-level cache.
  const int chunk = std::max(64, 65536 / (in + out));
  const int64_t x_stride = int64_t{chunk} * in, dy_stride = int64_t{chunk} * out,
                u_stride = position_stride(int64_t{in} * out);
  const auto [u_piece, x_piece, dy_piece] =
      scratch_pieces(context, {sizeof(float) * kPositions * u_stride, sizeof(float) * kPositions * x_stride,
                               sizeof(float) * kPositions * dy_stride});
  float *const du = reinterpret_cast<float*>(u_piece), *const v = reinterpret_cast<float*>(x_piece),
               *const z = reinterpret_cast<float*>(dy_piece);
  constexpr int block = 64, few = 8;
  const int blocks = (out + block - 1) / block;
  for (int begin = 0; begin < tiles.count; begin += chunk) {
    const int count = std::min(chunk, tiles.count - begin);
    context.share((count + few - 1) / few, [&](int64_t task, int) {
      const int first = static_cast<int>(task) * few, last = std::min(first + few, count);
      transform_patches<kInput>(tiles, begin + first, begin + last, call.x, in, v + int64_t{first} * in,
                                x_stride);
      transform_patches<transposed(kOutput)>(tiles, begin + first, begin + last, call.dy, out,
                                             z + int64_t{first} * out, dy_stride);
    });
    context.share(kPositions * blocks, [&](int64_t task, int) {
      const int p = static_cast<int>(task) / blocks, o = static_cast<int>(task) % blocks * block;
      gemm_block<float>({std::min(block, out - o), in, count, z + p * dy_stride + o, 1, out, v + p * x_stride,
                         in, du + p * u_stride + int64_t{o} * in, in, begin > 0});
    });
  }
  each_row(out, kPositions * int64_t{in} * out, context, [&](int64_t o) {
    for (int c = 0; c < in; c += kWidth) {
      Lanes product[kPositions], dg[9];
      for (int p = 0; p < kPositions; ++p) product[p] = load(du + p * u_stride + o * in + c);
      transform<transposed(kWeight)>(product, dg);
      for (int tap = 0; tap < 9; ++tap) {
        float* const to = call.dw + (o * 9 + tap) * in + c;
        store(to, call.accumulate ? load(to) + dg[tap] : dg[tap]);
      }
    }
  });
}

}  // namespace stopgrad::cpu::winograd
