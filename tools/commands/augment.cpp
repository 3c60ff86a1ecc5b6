// simsiam augment: what the network sees. Originals and their random views, side by side.
#include <numeric>

#include "data/augmenter.h"
#include "data/image_file.h"
#include "engine/file.h"
#include "tools/commands/commands.h"
#include "tools/evaluation.h"
#include "tools/progress.h"
#include "tools/view/page.h"

namespace stopgrad::tools {

namespace {

struct AugmentOptions {
  RecipeOptions recipe;
  std::string out = "views.html";
  int images = 8, views = 7, scale = 0, epoch = 0;
  int64_t first = 0;
};

/// A grid of tiles with a gap of one pixel between them, enlarged `scale` times.
class Grid {
 public:
  Grid(int rows, int columns, int height, int width, int scale)
      : height_(height * scale + scale), width_(width * scale + scale), scale_(scale), columns_(columns) {
    image_ = {rows * height_, columns * width_, 3, {}};
    image_.pixels.assign(static_cast<size_t>(image_.height) * static_cast<size_t>(image_.width) * 3, 255);
  }

  template <class Pixel>
  void tile(int row, int column, Pixel pixel) {  // pixel(y, x, channel) -> uint8_t
    for (int y = 0; y < height_ - scale_; ++y)
      for (int x = 0; x < width_ - scale_; ++x)
        for (int c = 0; c < 3; ++c) {
          const size_t place =
              (static_cast<size_t>(row * height_ + y) * static_cast<size_t>(columns_ * width_) +
               static_cast<size_t>(column * width_ + x)) *
                  3 +
              static_cast<size_t>(c);
          image_.pixels[place] = pixel(y / scale_, x / scale_, c);
        }
  }
  const Image& image() const { return image_; }

 private:
  int height_, width_, scale_, columns_;
  Image image_;
};

/// Views [views, count, H, W, C] of images [first, first + count).
std::vector<float> draw_views(const Recipe& r, const Dataset& set, const AugmentOptions& o, int count) {
  cpu::Context context(1);
  std::vector<int64_t> index(static_cast<size_t>(count));
  std::iota(index.begin(), index.end(), o.first);
  std::vector<float> y(static_cast<size_t>(o.views) * static_cast<size_t>(count) *
                       static_cast<size_t>(set.image_bytes()));
  cpu::run(random_views({set.images.data(), set.height, set.width, set.channels}, index, r.views,
                        static_cast<uint64_t>(r.seed), static_cast<uint32_t>(o.epoch), o.views,
                        {set.height, set.width, set.channels}, y.data()),
           context);
  return y;
}

Grid draw_grid(const Recipe& r, const Dataset& set, const AugmentOptions& o) {
  const int count = static_cast<int>(std::min<int64_t>(o.images, set.count - o.first));
  if (count <= 0) fail(Exit::usage, "--first {}: {} has {} images", o.first, set.name, set.count);
  const std::vector<float> y = draw_views(r, set, o, count);
  const int scale = o.scale > 0 ? o.scale : std::max(1, 96 / set.width);
  Grid grid(count, o.views + 1, set.height, set.width, scale);
  const int channels = set.channels;
  for (int i = 0; i < count; ++i) {
    const uint8_t* original = set.image(o.first + i);
    grid.tile(i, 0, [&](int row, int x, int c) {
      return original[(row * set.width + x) * channels + std::min(c, channels - 1)];
    });
    for (int v = 0; v < o.views; ++v) {
      const float* view = y.data() + (int64_t{v} * count + i) * set.image_bytes();
      grid.tile(i, v + 1, [&](int row, int x, int c) {
        const int k = std::min(c, channels - 1);
        const float unit = view[(row * set.width + x) * channels + k] * r.views.std[k] + r.views.mean[k];
        return static_cast<uint8_t>(std::clamp(unit * 255 + 0.5f, 0.0f, 255.0f));
      });
    }
  }
  return grid;
}

int run_augment(const AugmentOptions& o) {
  const Recipe r = o.recipe.load();
  const Dataset set = open_split(r, Split::train, {}, o.first + o.images);
  const Image picture = draw_grid(r, set, o).image();
  if (o.out.ends_with(".png")) {
    write_png(o.out, picture);
  } else {
    view::Page page("Views of " + set.name);
    page.paragraph(
        fmt::format("Left the original, then {} random views as the network sees them, before normalisation. "
                    "Seed {}, epoch {}; each view is a pure function of these, the image and the view.",
                    o.views, r.seed, o.epoch));
    page.image(encode_png(picture.pixels.data(), picture.height, picture.width, 3), "originals and views",
               "grid of views");
    write_file(o.out, page.html());
  }
  say("wrote " + o.out);
  return 0;
}

}  // namespace

void add_augment(CommandLine& program) {
  auto o = std::make_shared<AugmentOptions>();
  CommandLine c = program.command("augment", "draw random views of images, as HTML page or PNG",
                                  [o] { return run_augment(*o); });
  o->recipe.add_to(c);
  c.option("--out", &o->out, "views.html or a .png");
  c.option("--images", &o->images, "rows of the grid", {.least = 1, .most = 64});
  c.option("--views", &o->views, "views per image", {.least = 1, .most = 64});
  c.option("--first", &o->first, "first image", {.least = 0});
  c.option("--epoch", &o->epoch, "which epoch's views", {.least = 0});
  c.option("--scale", &o->scale, "pixels per pixel; 0: by image size", {.least = 0, .most = 16});
}

}  // namespace stopgrad::tools
