#include "kernels/augment.h"

#include <algorithm>
#include <cstddef>

#include "kernels/augment_call.h"
#include "kernels/augment_colour.h"
#include "kernels/augment_resample.h"
#include "kernels/loops.h"

namespace stopgrad::cpu {

namespace {

using namespace pixels;

/// A view in the making, and what the steps on it need.
template <class P>
struct Canvas {
  P* planes;   // [channels, height, width]
  P* row;      // a row of the source and one element more, or a padded row of a plane
  P* between;  // a plane between the two passes of the blur
  P* kernel;   // of the blur
  Taps<P> rows, columns;
};

/// Cuts memory into aligned arrays; with memory = null only counts the bytes.
struct Carver {
  std::byte* memory;
  size_t used = 0;

  template <class A>
  A* take(size_t count) {
    A* const at = memory == nullptr ? nullptr : reinterpret_cast<A*>(memory + used);
    used += (count * sizeof(A) + 63) / 64 * 64;
    return at;
  }
};

/// A canvas that holds every view of the call, at the start of `memory`; its size in `bytes`.
template <class T>
Canvas<Acc<T>> make_canvas(const Augment<T>& call, std::byte* memory, size_t& bytes) {
  using P = Acc<T>;
  Carver carver{memory};
  const auto taps = [&](int size, int out) {
    // A crop takes no more taps than the whole axis.
    const size_t count = static_cast<size_t>(ResampleAxis{size, out}.count()) * static_cast<size_t>(out);
    return Taps<P>{0, out, carver.take<int>(count), carver.take<P>(count)};
  };
  const auto blur_kernel = static_cast<size_t>(2 * blur_radius(call.recipe.blur_sigma_max) + 1);
  const size_t width = static_cast<size_t>(call.out_width),
               size = width * static_cast<size_t>(call.out_height);
  const size_t source_row = static_cast<size_t>(call.width * call.channels + 1);
  Canvas<P> canvas;
  canvas.planes = carver.take<P>(size * static_cast<size_t>(call.channels));
  canvas.row = carver.take<P>(std::max(source_row, width + blur_kernel));
  canvas.between = carver.take<P>(size);
  canvas.kernel = carver.take<P>(blur_kernel);
  canvas.rows = taps(call.height, call.out_height);
  canvas.columns = taps(call.width, call.out_width);
  bytes = carver.used;
  return canvas;
}

/// Planes [C, size] -> y [size, stored]; S = stored where it is known at compile time.
template <int C, int S, class T, class P>
void normalise(const P* planes, int size, const AugmentRecipe& recipe, int stored, T* y) {
  const int step = S > 0 ? S : stored;
  P mean[C], scale[C];
  for (int c = 0; c < C; ++c) {
    mean[c] = recipe.mean[c];
    scale[c] = 1 / P(recipe.std[c]);
  }
  for (int i = 0; i < size; ++i) {
    for (int c = 0; c < C; ++c) y[i * step + c] = T((planes[c * size + i] - mean[c]) * scale[c]);
    for (int c = C; c < step; ++c) y[i * step + c] = T(0);
  }
}

template <int C, class T>
void augment_view(const Augment<T>& call, const uint8_t* image, const AugmentParams& p,
                  Canvas<Acc<T>>& canvas, T* y) {
  using P = Acc<T>;
  const int height = call.out_height, width = call.out_width, size = height * width;
  crop_resize<C>(image, call.width, p, height, width, canvas.rows, canvas.columns, canvas.row, canvas.planes);
  if (p.jitter) jitter<C>(p, canvas.planes, size);
  if constexpr (C == 3) {
    if (p.grey) greyscale(canvas.planes, size);
  }
  if (p.blur_sigma > 0) {
    for (int c = 0; c < C; ++c) {
      blur(P(p.blur_sigma), blur_radius(p.blur_sigma), height, width, canvas.kernel, canvas.between,
           canvas.row, canvas.planes + c * size);
    }
  }
  if (call.stored_channels == C) normalise<C, C>(canvas.planes, size, call.recipe, C, y);
  else normalise<C, 0>(canvas.planes, size, call.recipe, call.stored_channels, y);
}

}  // namespace

template <class T>
void run(const Augment<T>& c, Context& context) {
  check_augment(c);
  const int64_t total = int64_t{c.views} * c.count;
  const int64_t view_size = int64_t{c.out_height} * c.out_width * c.stored_channels;
  const int64_t run = std::max<int64_t>(1, kTaskElements / view_size);
  size_t bytes = 0;
  make_canvas(c, nullptr, bytes);
  std::byte* memory = context.scratch_of<std::byte>(bytes * static_cast<size_t>(context.threads()));
  context.share((total + run - 1) / run, [&](int64_t task, int thread) {
    size_t unused = 0;
    auto canvas = make_canvas(c, memory + static_cast<size_t>(thread) * bytes, unused);
    for (int64_t i = task * run; i < std::min(total, (task + 1) * run); ++i) {
      const int64_t image = c.index[i % c.count];
      const AugmentParams p = augment_params_of(c, static_cast<int>(i / c.count), image);
      const uint8_t* pixels = source_of(c, static_cast<int>(i % c.count));
      if (c.channels == 3) augment_view<3>(c, pixels, p, canvas, c.y + i * view_size);
      else augment_view<1>(c, pixels, p, canvas, c.y + i * view_size);
    }
  });
}

template void run(const Augment<float>&, Context&);
template void run(const Augment<bf16>&, Context&);
template void run(const Augment<double>&, Context&);

}  // namespace stopgrad::cpu
