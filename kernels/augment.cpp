#include "kernels/augment.h"

#include <algorithm>
#include <cstddef>

#include "kernels/augment_colour.h"
#include "kernels/augment_params.h"
#include "kernels/augment_resample.h"
#include "kernels/check.h"

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

template <class T>
AugmentParams params_of(const Augment<T>& call, int view, int64_t image) {
  if (!call.random) {
    AugmentParams whole;
    whole.height = call.height;
    whole.width = call.width;
    return whole;
  }
  const AugmentDraws draws{call.seed, call.epoch, static_cast<uint32_t>(image),
                           static_cast<uint32_t>(call.first_view + view)};
  return draw_augment_params(call.recipe, draws, call.height, call.width);
}

template <class T>
void check(const Augment<T>& c) {
  const AugmentRecipe& r = c.recipe;
  ENSURE(c.height > 0 && c.width > 0 && c.out_height > 0 && c.out_width > 0,
         "augment: images of {}x{} to views of {}x{}; every size must be positive", c.height, c.width,
         c.out_height, c.out_width);
  ENSURE(
      int64_t{c.height} * c.out_height < 1 << 28 && int64_t{c.width} * c.out_width < 1 << 28,
      "augment: images of {}x{} to views of {}x{} are beyond the whole numbers used; make the images smaller",
      c.height, c.width, c.out_height, c.out_width);
  ENSURE(c.views > 0 && c.count > 0, "augment: {} views of {} images; both must be positive", c.views,
         c.count);
  ENSURE(c.channels == 1 || c.channels == 3, "augment: images have {} channels, 1 or 3 are supported",
         c.channels);
  ENSURE(c.stored_channels >= c.channels, "augment: views store {} channels of images that have {}",
         c.stored_channels, c.channels);
  for (int i = 0; i < c.channels; ++i) {
    ENSURE(r.std[i] > 0, "augment: std of channel {} is {}, it must be positive", i, r.std[i]);
  }
  ENSURE(r.scale_min > 0 && r.scale_min <= r.scale_max && r.scale_max <= 1,
         "augment: areas of the crop from {} to {}, they must lie in (0, 1] and rise", r.scale_min,
         r.scale_max);
  ENSURE(r.ratio_min >= 0.001f && r.ratio_min <= r.ratio_max && r.ratio_max <= 1000,
         "augment: aspects of the crop from {} to {}, they must lie in [0.001, 1000] and rise", r.ratio_min,
         r.ratio_max);
  ENSURE(
      r.brightness >= 0 && r.contrast >= 0 && r.saturation >= 0 && r.hue >= 0 && r.hue <= 0.5f,
      "augment: strengths {} {} {} of brightness, contrast, saturation must not be negative, hue {} must lie "
      "in [0, 0.5]",
      r.brightness, r.contrast, r.saturation, r.hue);
  ENSURE(r.blur_sigma_min > 0 && r.blur_sigma_min <= r.blur_sigma_max && r.blur_sigma_max <= 100,
         "augment: sigma of the blur from {} to {}, it must lie in (0, 100] and rise", r.blur_sigma_min,
         r.blur_sigma_max);
}

}  // namespace

template <class T>
void run(const Augment<T>& c, Context& context) {
  check(c);
  const int64_t total = int64_t{c.views} * c.count;
  const int64_t image_size = int64_t{c.height} * c.width * c.channels;
  const int64_t view_size = int64_t{c.out_height} * c.out_width * c.stored_channels;
  const int parts = static_cast<int>(std::min<int64_t>(context.threads(), total));
  size_t bytes = 0;
  make_canvas(c, nullptr, bytes);
  std::byte* memory = context.scratch_of<std::byte>(bytes * static_cast<size_t>(parts));
#pragma omp parallel for num_threads(parts) if (parts > 1)
  for (int part = 0; part < parts; ++part) {
    size_t unused = 0;
    auto canvas = make_canvas(c, memory + static_cast<size_t>(part) * bytes, unused);
    for (int64_t i = part * total / parts; i < (part + 1) * total / parts; ++i) {
      const int64_t image = c.index[i % c.count], place = c.gathered ? i % c.count : image;
      const AugmentParams p = params_of(c, static_cast<int>(i / c.count), image);
      const uint8_t* pixels = c.images + place * image_size;
      if (c.channels == 3) augment_view<3>(c, pixels, p, canvas, c.y + i * view_size);
      else augment_view<1>(c, pixels, p, canvas, c.y + i * view_size);
    }
  }
}

template void run(const Augment<float>&, Context&);
template void run(const Augment<bf16>&, Context&);
template void run(const Augment<double>&, Context&);

}  // namespace stopgrad::cpu
