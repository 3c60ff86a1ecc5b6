// Pixels: the naive reference against torchvision, every schedule against the naive reference.
#include <catch2/catch.hpp>
#include "kernels/check.h"

#include "data/augmenter.h"
#include "tests/augment_images.h"
#include "tests/compare.h"

using namespace stopgrad;
using namespace stopgrad::test;

namespace {

template <class T>
std::vector<T> views_of(const Images& images, const std::vector<int64_t>& index, const AugmentRecipe& recipe,
                        uint64_t seed, uint32_t epoch, int views, ViewShape shape, int threads) {
  cpu::Context context(threads);
  std::vector<T> y(
      index.size() * static_cast<size_t>(views * shape.height * shape.width * shape.stored_channels),
      from_double<T>(777));
  run(random_views(images.all(), index, recipe, seed, epoch, views, shape, y.data()), context);
  return y;
}

/// A recipe in which everything happens, often
AugmentRecipe all_recipe() {
  AugmentRecipe recipe = imagenet_recipe();
  recipe.jitter = 0.9f;
  recipe.grey = 0.3f;
  recipe.hue = 0.5f;
  return recipe;
}

/// Values up to 1, whose rounding errors grow by at most 1.4 in each of brightness, contrast and saturation
/// and by 1 / std; resampling, hue and blur only mix them.
double scale_of(const AugmentRecipe& recipe) {
  return 1.4 * 1.4 * 1.4 / *std::min_element(recipe.std, recipe.std + 3);
}

template <class T>
void check_against_reference(const Images& images, const AugmentRecipe& recipe, ViewShape shape) {
  const std::vector<int64_t> index = first(images.count);
  const std::vector<T> got = views_of<T>(images, index, recipe, 9, 4, 2, shape, 2);
  const size_t size = got.size() / static_cast<size_t>(2 * images.count);
  for (uint32_t i = 0; i < 2 * static_cast<uint32_t>(images.count); ++i) {
    const uint32_t view = i / static_cast<uint32_t>(images.count),
                   image = i % static_cast<uint32_t>(images.count);
    const AugmentParams p = draw_augment_params(recipe, {9, 4, image, view}, images.height, images.width);
    const Picture want = augment(images.at(image), p, recipe, shape.height, shape.width);
    std::vector<double> stored(size, 0.0);
    const auto step = static_cast<size_t>(shape.stored_channels),
               channels = static_cast<size_t>(want.channels);
    for (size_t k = 0; k < want.data.size(); ++k) stored[k / channels * step + k % channels] = want.data[k];
    const auto from = got.begin() + static_cast<std::ptrdiff_t>(i * size);
    INFO("view " << view << " of image " << image << ", jitter " << p.jitter << " blur " << p.blur_sigma);
    check_close(std::vector<T>(from, from + static_cast<std::ptrdiff_t>(size)), stored,
                Tolerance<T>{1, scale_of(recipe)});
  }
}

}  // namespace

TEST_CASE("the naive reference is torchvision", "[augment]") {
  // torchvision 0.14.1, torch 1.13.0, float64: resize(crop(x, 1, 1, 2, 3), [4, 5], antialias=False),
  // resize(x, [3, 2], antialias=True), the adjust_ functions and gaussian_blur(x, [7, 7], [.8, .8]).
  std::vector<uint8_t> bytes(60);
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<uint8_t>(i * i * 7 + i * 31);
  const Picture x = picture(bytes.data(), 4, 5, 3);
  const auto check = [](const Picture& p, double a, double b, double c) {
    CHECK(p.at(1, 1, 0) == Approx(a).margin(1e-9));
    CHECK(p.at(0, 1, 2) == Approx(b).margin(1e-9));
    CHECK(p.at(2, 0, 1) == Approx(c).margin(1e-9));
  };
  check(crop_resize(x, 1, 1, 2, 3, 4, 5), 0.3952941176, 0.3168627451, 0.5901960784);
  check(crop_resize(x, 0, 0, 4, 5, 3, 2), 0.4606060606, 0.4690909091, 0.4771479501);
  check(brightness(x, 1.3), 0.0509803922, 0.3772549020, 0.0407843137);
  check(contrast(x, 0.7), 0.1763121098, 0.3519983843, 0.1708219137);
  check(saturation(x, 1.4), 0.0, 0.1025938824, 0.0);
  check(hue(x, 0.1), 0.0988235294, 0.3498039216, 0.0313725490);
  check(hue(x, -0.37), 0.2432941176, 0.7515294118, 0.8784313725);
  check(greyscale(x), 0.1541372549, 0.7592015686, 0.1912305882);
  const Picture blurred = gaussian_blur(x, 0.8, 3);  // torch makes the kernel in float
  CHECK(blurred.at(1, 1, 0) == Approx(0.4812301215).margin(1e-6));
  CHECK(blurred.at(0, 1, 2) == Approx(0.4515180193).margin(1e-6));
  CHECK(blurred.at(2, 0, 1) == Approx(0.4614050610).margin(1e-6));
}

TEMPLATE_TEST_CASE("views of colour images equal the reference", "[augment]", float, double, bf16) {
  check_against_reference<TestType>(Images(14, 32, 32, 3), cifar_recipe(), {32, 32, 3});
  check_against_reference<TestType>(Images(14, 17, 23, 3), all_recipe(), {19, 21, 3});  // both ways, tails
  check_against_reference<TestType>(Images(14, 40, 37, 3), all_recipe(), {9, 7, 3});    // strong shrinking
  check_against_reference<TestType>(Images(14, 9, 11, 3), all_recipe(), {8, 8, 8});     // padded channels
  check_against_reference<TestType>(Images(7, 2, 1, 3), all_recipe(), {3, 5, 3});       // tiny
  check_against_reference<TestType>(Images(7, 6, 5, 3), all_recipe(), {1, 1, 4});
}

TEMPLATE_TEST_CASE("views of grey images equal the reference", "[augment]", float, double, bf16) {
  check_against_reference<TestType>(Images(14, 28, 28, 1), grey_recipe(), {28, 28, 1});
  check_against_reference<TestType>(Images(14, 13, 19, 1), all_recipe(), {7, 31, 1});
  check_against_reference<TestType>(Images(7, 5, 5, 1), all_recipe(), {6, 6, 8});
}

TEST_CASE("the mean of a large image keeps its accuracy", "[augment]") {
  AugmentRecipe recipe = cifar_recipe();
  recipe.jitter = 1;
  check_against_reference<float>(Images(2, 20, 20, 3), recipe, {150, 160, 3});
}

TEST_CASE("the same seed gives the same bytes, and any other number others", "[augment]") {
  const Images images(8, 32, 32, 3);
  const ViewShape shape{32, 32, 3};
  const auto at = [&](uint64_t seed, uint32_t epoch) {
    return views_of<float>(images, first(8), cifar_recipe(), seed, epoch, 2, shape, 1);
  };
  const std::vector<float> one = at(1, 0);
  CHECK(same_bits(one, at(1, 0)));
  CHECK_FALSE(same_bits(one, at(2, 0)));
  CHECK_FALSE(same_bits(one, at(uint64_t{1} << 32 | 1, 0)));
  CHECK_FALSE(same_bits(one, at(1, 1)));
  const auto half = one.begin() + static_cast<std::ptrdiff_t>(one.size() / 2);
  CHECK_FALSE(std::equal(one.begin(), half, half));  // the two views
}

TEST_CASE("batch position, batch size, threads and first view change no bit", "[augment]") {
  const Images images(24, 32, 32, 3);
  const ViewShape shape{32, 32, 3};
  const size_t size = 32 * 32 * 3;
  const std::vector<float> all = views_of<float>(images, first(24), all_recipe(), 1, 2, 2, shape, 1);
  for (const int threads : {2, 3, 7}) {
    CHECK(same_bits(all, views_of<float>(images, first(24), all_recipe(), 1, 2, 2, shape, threads)));
  }
  const std::vector<int64_t> some = {17, 3, 3, 20, 0};
  const std::vector<float> few = views_of<float>(images, some, all_recipe(), 1, 2, 2, shape, 2);
  std::vector<float> second(some.size() * size);
  Augment<float> call = random_views(images.all(), some, all_recipe(), 1, 2, 1, shape, second.data());
  call.first_view = 1;
  cpu::Context context(1);
  run(call, context);
  for (size_t i = 0; i < some.size(); ++i) {
    const auto image = static_cast<size_t>(some[i]);
    const auto same = [&](const std::vector<float>& a, size_t at, size_t in_all) {
      return std::equal(a.begin() + static_cast<std::ptrdiff_t>(at * size),
                        a.begin() + static_cast<std::ptrdiff_t>((at + 1) * size),
                        all.begin() + static_cast<std::ptrdiff_t>(in_all * size));
    };
    CHECK(same(few, i, image));
    CHECK(same(few, some.size() + i, 24 + image));
    CHECK(same(second, i, 24 + image));
  }
}

TEST_CASE("test views are the images, normalised, or resized where sizes differ", "[augment]") {
  const Images images(3, 6, 5, 3);
  const AugmentRecipe recipe = imagenet_recipe();
  const std::vector<int64_t> index = {2, 0};
  cpu::Context context(2);
  for (const ViewShape& shape : {ViewShape{6, 5, 3}, ViewShape{4, 8, 3}}) {
    std::vector<double> y(static_cast<size_t>(2 * shape.height * shape.width * 3));
    run(test_views(images.all(), index, recipe, shape, y.data()), context);
    AugmentParams whole;
    whole.height = 6;
    whole.width = 5;
    std::vector<double> want;
    for (const int64_t i : index) {
      const Picture view = augment(images.at(i), whole, recipe, shape.height, shape.width);
      want.insert(want.end(), view.data.begin(), view.data.end());
    }
    check_close(y, want, Tolerance<double>{1, 1 / 0.224});
  }
}

TEST_CASE("calls that make no sense say what to change", "[augment]") {
  const Images images(1, 4, 4, 3);
  const std::vector<int64_t> index = {0};
  std::vector<float> y(4 * 4 * 3);
  cpu::Context context(1);
  const Augment<float> good = random_views(images.all(), index, cifar_recipe(), 0, 0, 1, {4, 4, 3}, y.data());
  const auto wrong = [&](auto change) {
    Augment<float> call = good;
    change(call);
    CHECK_THROWS_AS(run(call, context), Error);
  };
  CHECK_NOTHROW(run(good, context));
  wrong([](auto& c) { c.channels = 2; });
  wrong([](auto& c) { c.stored_channels = 2; });
  wrong([](auto& c) { c.out_width = 0; });
  wrong([](auto& c) { c.width = 1 << 27; });
  wrong([](auto& c) { c.count = 0; });
  wrong([](auto& c) { c.recipe.scale_min = 0; });
  wrong([](auto& c) { c.recipe.scale_max = 1.1f; });
  wrong([](auto& c) { c.recipe.ratio_min = 0; });
  wrong([](auto& c) { c.recipe.hue = 0.6f; });
  wrong([](auto& c) { c.recipe.contrast = NAN; });
  wrong([](auto& c) { c.recipe.std[2] = 0; });
  wrong([](auto& c) { c.recipe.blur_sigma_min = 0; });
}
