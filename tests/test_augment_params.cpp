// From draws to parameters: their distributions, their independence, and that they never change.
#include <catch2/catch.hpp>

#include <cmath>
#include <map>
#include <set>

#include "data/augmenter.h"
#include "kernels/augment_params.h"

using namespace stopgrad;

namespace {

constexpr int kDraws = 10000;

/// f(params) for many images of one size
template <class F>
void for_draws(const AugmentRecipe& recipe, int height, int width, F f) {
  for (uint32_t image = 0; image < kDraws; ++image) {
    f(draw_augment_params(recipe, {3, 1, image, image % 2}, height, width));
  }
}

/// A frequency within three standard deviations of p
void check_frequency(int count, double p) {
  INFO("count " << count << " of " << kDraws << ", expected " << p * kDraws);
  CHECK(std::abs(count - kDraws * p) <= 3 * std::sqrt(kDraws * p * (1 - p)));
}

}  // namespace

TEST_CASE("exp and log without a library keep their accuracy", "[augment]") {
  double worst_exp = 0, worst_log = 0;
  for (int i = -80000; i <= 80000; ++i) {
    const float x = static_cast<float>(i) * 1e-3f, y = static_cast<float>(std::exp(double(x)));
    worst_exp = std::max(worst_exp, std::abs(portable_exp(x) / std::exp(double(x)) - 1));
    if (y != 1) worst_log = std::max(worst_log, std::abs(portable_log(y) / std::log(double(y)) - 1));
  }
  for (int i = -10000; i <= 10000; ++i) {  // near 1, where log nears 0
    const float x = 1 + static_cast<float>(i) * 0x1p-20f;
    if (i != 0) worst_log = std::max(worst_log, std::abs(portable_log(x) / std::log(double(x)) - 1));
  }
  CHECK(worst_exp < 1e-7);
  CHECK(worst_log < 3e-7);
  CHECK(portable_log(1) == 0);
  CHECK(portable_exp(0) == 1);
}

TEST_CASE("flip, jitter, grey and blur come as often as the recipe says", "[augment]") {
  const AugmentRecipe recipe = imagenet_recipe();
  int flip = 0, jitter = 0, grey = 0, blur = 0, flip_and_grey = 0;
  for_draws(recipe, 32, 32, [&](const AugmentParams& p) {
    flip += p.flip;
    jitter += p.jitter;
    grey += p.grey;
    blur += p.blur_sigma > 0;
    flip_and_grey += p.flip && p.grey;
  });
  check_frequency(flip, 0.5);
  check_frequency(jitter, 0.8);
  check_frequency(grey, 0.2);
  check_frequency(blur, 0.5);
  check_frequency(flip_and_grey, 0.1);
}

TEST_CASE("the four jitter operations come in all 24 orders alike", "[augment]") {
  AugmentRecipe recipe;
  recipe.jitter = 1;
  std::map<std::vector<Jitter>, int> orders;
  for_draws(recipe, 32, 32, [&](const AugmentParams& p) {
    const std::vector<Jitter> order(p.order, p.order + 4);
    CHECK(std::set<Jitter>(order.begin(), order.end()).size() == 4);
    ++orders[order];
  });
  CHECK(orders.size() == 24);
  double chi2 = 0;
  for (const auto& [order, count] : orders) chi2 += std::pow(count - kDraws / 24.0, 2) / (kDraws / 24.0);
  CHECK(chi2 < 23 + 3 * std::sqrt(2 * 23.0));  // mean and deviation of chi squared with 23 degrees
}

TEST_CASE("strengths are uniform within their bounds", "[augment]") {
  AugmentRecipe recipe = imagenet_recipe();
  recipe.jitter = recipe.blur = 1;
  recipe.saturation = 1.5f;
  double sum[5] = {};
  for_draws(recipe, 32, 32, [&](const AugmentParams& p) {
    CHECK((p.brightness >= 0.6f && p.brightness <= 1.4f));
    CHECK((p.contrast >= 0.6f && p.contrast <= 1.4f));
    CHECK((p.saturation >= 0 && p.saturation <= 2.5f));
    CHECK((p.hue >= -0.1f && p.hue <= 0.1f));
    CHECK((p.blur_sigma >= 0.1f && p.blur_sigma <= 2));
    const float drawn[5] = {p.brightness, p.contrast, p.saturation, p.hue, p.blur_sigma};
    for (int i = 0; i < 5; ++i) sum[i] += drawn[i];
  });
  const double middle[5] = {1, 1, 1.25, 0, 1.05}, width[5] = {0.8, 0.8, 2.5, 0.2, 1.9};
  for (int i = 0; i < 5; ++i) {
    CHECK(std::abs(sum[i] / kDraws - middle[i]) < 3 * width[i] / std::sqrt(12.0 * kDraws));
  }
}

TEST_CASE("strengths of zero and probabilities of zero change nothing", "[augment]") {
  AugmentRecipe recipe;
  recipe.brightness = recipe.contrast = recipe.saturation = recipe.hue = 0;
  recipe.jitter = 1;
  recipe.flip = recipe.grey = 0;
  for_draws(recipe, 32, 32, [&](const AugmentParams& p) {
    CHECK((p.jitter && !p.flip && !p.grey && p.blur_sigma == 0));
    CHECK((p.brightness == 1 && p.contrast == 1 && p.saturation == 1 && p.hue == 0));
  });
}

TEST_CASE("crops lie in the image and have the area and aspect of the recipe", "[augment]") {
  const AugmentRecipe recipe;
  const int height = 1000, width = 1200;
  double area = 0, log_aspect = 0, offset = 0;
  for_draws(recipe, height, width, [&](const AugmentParams& p) {
    CHECK((p.top >= 0 && p.top + p.height <= height && p.left >= 0 && p.left + p.width <= width));
    const double share = double(p.width) * p.height / (double(width) * height);
    const double aspect = double(p.width) / p.height;
    CHECK((share > 0.198 && share < 1.002));  // a rounded side is up to 1/2 pixel of 400 off
    CHECK((aspect > 0.748 && aspect < 1.336));
    area += share;
    log_aspect += std::log(aspect);
    offset += (p.top + 0.5) / (height - p.height + 1) / kDraws;
  });
  // What remains when boxes that do not fit are drawn again: the mean over those that do, on a fine grid.
  double fits = 0, want_area = 0, want_aspect = 0;
  for (double u = 0.0005; u < 1; u += 0.001) {
    for (double v = 0.0005; v < 1; v += 0.001) {
      const double a = 0.2 + 0.8 * u, log_r = std::log(0.75) + v * std::log(16.0 / 9), r = std::exp(log_r);
      if (a * r > width / double(height) || a / r > height / double(width)) continue;
      fits += 1;
      want_area += a;
      want_aspect += log_r;
    }
  }
  CHECK(area / kDraws == Approx(want_area / fits).margin(3 * 0.23 / std::sqrt(kDraws)));
  CHECK(log_aspect / kDraws == Approx(want_aspect / fits).margin(3 * 0.17 / std::sqrt(kDraws)));
  CHECK(offset == Approx(0.5).margin(3 * 0.29 / std::sqrt(kDraws)));
}

TEST_CASE("small crops are uniform in area, and log-uniform in aspect", "[augment]") {
  AugmentRecipe recipe;
  recipe.scale_min = 0.01f;
  recipe.scale_max = 0.25f;  // these always fit
  int below_area[4] = {}, below_aspect[4] = {};
  for_draws(recipe, 2000, 2000, [&](const AugmentParams& p) {
    const double share = double(p.width) * p.height / 4e6, aspect = std::log(double(p.width) / p.height);
    for (int q = 1; q < 4; ++q) {
      below_area[q] += share < 0.01 + 0.24 * q / 4;
      below_aspect[q] += aspect < std::log(0.75) + std::log(16.0 / 9) * q / 4;
    }
  });
  for (int q = 1; q < 4; ++q) {
    check_frequency(below_area[q], q / 4.0);
    check_frequency(below_aspect[q], q / 4.0);
  }
}

TEST_CASE("an image too narrow for every try gets the largest central crop", "[augment]") {
  AugmentRecipe recipe;
  recipe.scale_min = 1;  // at aspect 3/4 or more, no box of the whole area fits
  const AugmentParams tall = draw_augment_params(recipe, {1, 0, 0, 0}, 100, 20);
  CHECK((tall.width == 20 && tall.height == 27 && tall.left == 0 && tall.top == 36));
  const AugmentParams wide = draw_augment_params(recipe, {1, 0, 0, 0}, 20, 100);
  CHECK((wide.height == 20 && wide.width == 27 && wide.top == 0 && wide.left == 36));
  const AugmentParams pixel = draw_augment_params(recipe, {1, 0, 0, 0}, 1, 1);
  CHECK((pixel.height == 1 && pixel.width == 1 && pixel.top == 0 && pixel.left == 0));
}

TEST_CASE("the parameters of a view are these numbers on every machine", "[augment]") {
  AugmentRecipe recipe = imagenet_recipe();
  recipe.jitter = recipe.blur = 1;
  const AugmentParams p = draw_augment_params(recipe, {20201120, 7, 123456, 1}, 375, 500);
  CHECK((p.top == 29 && p.left == 79 && p.height == 281 && p.width == 359));
  CHECK((p.flip && p.grey));
  const Jitter order[4] = {Jitter::saturation, Jitter::brightness, Jitter::contrast, Jitter::hue};
  CHECK(std::equal(order, order + 4, p.order));
  CHECK((p.brightness == 0.767651975f && p.contrast == 1.22096241f && p.saturation == 0.804017186f));
  CHECK((p.hue == 0.0569094419f && p.blur_sigma == 1.61558461f));
}

TEST_CASE("resampling takes every source under the triangle, none twice and none outside", "[augment]") {
  for (int size = 1; size <= 24; ++size) {
    for (int out = 1; out <= 24; ++out) {
      const ResampleAxis axis{size, out};
      REQUIRE(axis.count() >= 2);
      for (int x = 0; x < out; ++x) {
        int all = 0, taken = 0;
        for (int k = 0; k < size; ++k) all += axis.weight(x, k);
        for (int k = axis.first(x); k < axis.first(x) + axis.count(); ++k) taken += axis.weight(x, k);
        REQUIRE((all > 0 && taken == all && axis.first(x) >= 0 && axis.first(x) < size));
      }
    }
  }
}

TEST_CASE("recipes are found by name, and a wrong name says which there are", "[augment]") {
  CHECK(augment_recipe("cifar").blur == 0);
  CHECK(augment_recipe("imagenet").blur == 0.5f);
  CHECK(augment_recipe("grey").mean[0] == 0.2860f);
  CHECK_THROWS_WITH(augment_recipe("mnist"), Catch::Contains("cifar, imagenet or grey"));
}
