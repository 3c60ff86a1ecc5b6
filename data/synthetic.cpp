#include "data/synthetic.h"

#include <algorithm>
#include <cmath>

#include "data/free_memory.h"
#include "kernels/check.h"
#include "kernels/philox.h"

namespace stopgrad {
namespace {

// Only + - * / and sqrt below, which IEEE 754 rounds the same everywhere; sines would not be.

struct Point {
  float x, y;
};

float length(Point p) { return std::sqrt(p.x * p.x + p.y * p.y); }
float disc(Point p, float cx, float cy, float radius) { return length({p.x - cx, p.y - cy}) - radius; }
/// Distance to a rectangle with half sides hx, hy; outside its corners a lower bound, enough for an edge.
float box(Point p, float cx, float cy, float hx, float hy) {
  return std::max(std::abs(p.x - cx) - hx, std::abs(p.y - cy) - hy);
}
float triangle(Point p, float apothem) {
  constexpr float s = 0.8660254f;  // sin 60
  return std::max({-p.y, s * p.x + 0.5f * p.y, -s * p.x + 0.5f * p.y}) - apothem;
}
/// A pentagram: the points inside at least four of the five lines that bound its inner pentagon.
float star(Point p, float apothem) {
  constexpr float nx[] = {0, 0.9510565f, 0.5877853f, -0.5877853f, -0.9510565f};
  constexpr float ny[] = {1, 0.3090170f, -0.8090170f, -0.8090170f, 0.3090170f};
  float first = -1e9f, second = -1e9f;  // the largest distances
  for (int i = 0; i < 5; ++i) {
    const float d = p.x * nx[i] + p.y * ny[i];
    second = std::max(second, std::min(first, d));
    first = std::max(first, d);
  }
  return second - apothem;
}

const std::vector<std::string> kShapes = {"disc", "ring", "square", "triangle", "cross",
                                          "star", "bars", "moon",   "ell",      "dots"};

/// Signed distance to the edge of a shape that fits the unit disc, negative inside.
float distance(int shape, Point p) {
  switch (shape) {
    case 0:
      return disc(p, 0, 0, 0.8f);
    case 1:
      return std::abs(length(p) - 0.7f) - 0.2f;
    case 2:
      return box(p, 0, 0, 0.7f, 0.7f);
    case 3:
      return triangle(p, 0.5f);
    case 4:
      return std::min(box(p, 0, 0, 0.95f, 0.25f), box(p, 0, 0, 0.25f, 0.95f));
    case 5:
      return star(p, 0.33f);
    case 6:
      return std::min(box({p.x, std::abs(p.y)}, 0, 0.6f, 0.8f, 0.16f), box(p, 0, 0, 0.8f, 0.16f));
    case 7:
      return std::max(disc(p, 0, 0, 0.9f), -disc(p, 0.5f, 0, 0.75f));
    case 8:
      return std::min(box(p, -0.45f, 0, 0.25f, 0.85f), box(p, 0, 0.6f, 0.7f, 0.25f));
    default:
      return std::min({disc(p, 0, 0.6f, 0.32f), disc(p, 0.52f, -0.3f, 0.32f), disc(p, -0.52f, -0.3f, 0.32f)});
  }
}

struct Colour {
  float c[3];  // 0 .. 1
  float light() const { return 0.299f * c[0] + 0.587f * c[1] + 0.114f * c[2]; }
};

Colour mix(const Colour& a, const Colour& b, float t) {
  Colour result;
  for (int c = 0; c < 3; ++c) result.c[c] = a.c[c] + t * (b.c[c] - a.c[c]);
  return result;
}

/// The random numbers of one image: counter (split, image, use, draw).
class Draws {
 public:
  Draws(uint64_t seed, Split split, int64_t image)
      : seed_(seed), split_(split == Split::test), image_(static_cast<uint32_t>(image)) {}

  float between(float low, float high) {
    const Philox four = philox(seed_, Purpose::synthetic, split_, image_, 0, draw_++);
    return low + (high - low) * uniform01(four.v[0]);
  }
  Colour colour() { return {{between(0, 1), between(0, 1), between(0, 1)}}; }
  /// A unit vector, uniform over directions: points of the square are drawn until one lies in the disc.
  Point direction() {
    while (true) {
      const Point p{between(-1, 1), between(-1, 1)};
      const float r = length(p);
      if (r > 0.1f && r < 1) return {p.x / r, p.y / r};
    }
  }
  /// Noise of one pixel, near normal with deviation 1: sums of four bytes (mean 510, variance 4 * 65535 /
  /// 12).
  void noise(uint32_t pixel, float* three) const {
    const Philox four = philox(seed_, Purpose::synthetic, split_, image_, 1, pixel);
    for (int c = 0; c < 3; ++c) {
      const uint32_t w = four.v[c];
      const auto sum = static_cast<float>((w & 255) + (w >> 8 & 255) + (w >> 16 & 255) + (w >> 24));
      three[c] = (sum - 510.0f) / 147.8f;
    }
  }

 private:
  uint64_t seed_;
  uint32_t split_, image_;
  uint32_t draw_ = 0;
};

struct Scene {
  int shape;
  Point centre, turn, slope;  // pixels, unit vector, unit vector of the background's gradient
  float radius, noise;        // pixels, of a range of 1
  Colour from, to, ink;
};

Scene draw_scene(Draws& draws, int shape, float size) {
  Scene scene;
  scene.shape = shape;
  scene.radius = size * draws.between(0.22f, 0.4f);
  const float margin = scene.radius * 0.9f;
  scene.centre = {draws.between(margin, size - margin), draws.between(margin, size - margin)};
  scene.turn = draws.direction();
  scene.slope = draws.direction();
  scene.noise = draws.between(0.01f, 0.06f);
  scene.from = draws.colour();
  scene.to = mix(scene.from, draws.colour(), 0.6f);
  const float dark = std::min(scene.from.light(), scene.to.light());
  const float bright = std::max(scene.from.light(), scene.to.light());
  // Ink must stand out from both ends of the background, also in grey; black or white where luck fails.
  scene.ink = dark > 1 - bright ? Colour{{0, 0, 0}} : Colour{{1, 1, 1}};
  for (int attempt = 0; attempt < 16; ++attempt) {
    const Colour ink = draws.colour();
    if (ink.light() > dark - 0.25f && ink.light() < bright + 0.25f) continue;
    scene.ink = ink;
    break;
  }
  return scene;
}

void paint(const Scene& scene, const Draws& draws, int size, int channels, uint8_t* image) {
  for (int y = 0; y < size; ++y)
    for (int x = 0; x < size; ++x) {
      const Point p{x + 0.5f - scene.centre.x, y + 0.5f - scene.centre.y};
      const Point own{(p.x * scene.turn.x + p.y * scene.turn.y) / scene.radius,
                      (p.y * scene.turn.x - p.x * scene.turn.y) / scene.radius};
      // Half a pixel on each side of the edge: anti-aliased.
      const float cover = std::clamp(0.5f - distance(scene.shape, own) * scene.radius, 0.0f, 1.0f);
      const float along = (x + 0.5f - size * 0.5f) * scene.slope.x + (y + 0.5f - size * 0.5f) * scene.slope.y;
      const Colour ground = mix(scene.from, scene.to, std::clamp(0.5f + along / size, 0.0f, 1.0f));
      Colour colour = mix(ground, scene.ink, cover);
      float noise[3];
      draws.noise(static_cast<uint32_t>(y * size + x), noise);
      const float light = colour.light();
      for (int c = 0; c < channels; ++c) {
        const float value = (channels == 1 ? light : colour.c[c]) + scene.noise * noise[c];
        image[(size_t(y) * size + x) * channels + c] =
            static_cast<uint8_t>(std::clamp(value, 0.0f, 1.0f) * 255.0f + 0.5f);
      }
    }
}

}  // namespace

Dataset make_synthetic(int64_t count, int size, int channels, uint64_t seed, Split split) {
  if (count < 1 || count > UINT32_MAX) fail(Exit::config, "synthetic: {} images asked for", count);
  if (size < 8 || size > 1024) fail(Exit::config, "synthetic: image size {}, it goes from 8 to 1024", size);
  if (channels != 1 && channels != 3) fail(Exit::config, "synthetic: {} channels, it makes 1 or 3", channels);
  Dataset set;
  set.name = "synthetic";
  set.count = count;
  set.height = set.width = size;
  set.channels = channels;
  set.classes = kShapes;
  require_memory(count * set.image_bytes(),
                 fmt::format("synthetic: {} images of {}x{}x{}", count, size, size, channels),
                 "set a smaller data.image_size, or ask for fewer images");
  set.images.resize(static_cast<size_t>(count * set.image_bytes()));
  set.labels.resize(static_cast<size_t>(count));
#pragma omp parallel for schedule(static)
  for (int64_t i = 0; i < count; ++i) {
    set.labels[i] = static_cast<int32_t>(i % static_cast<int64_t>(kShapes.size()));
    Draws draws(seed, split, i);
    const Scene scene = draw_scene(draws, set.labels[i], static_cast<float>(size));
    paint(scene, draws, size, channels, set.images.data() + i * set.image_bytes());
  }
  return set;
}

}  // namespace stopgrad
