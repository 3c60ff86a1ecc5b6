// Bits of the parameters and, without blur, of the pixels are the CPU's. The weights of the blur come from
// exp, whose last bits differ between libraries: blurred views agree within a tolerance.
#include "kernels/augment_call.h"
#include "kernels/check.h"
#include "tests/augment_images.h"
#include "tests/compare.h"
#include "tests/cuda/mirror.h"

using namespace stopgrad;
using namespace stopgrad::test;

namespace {

/// A recipe in which everything happens, often.
AugmentRecipe everything() {
  AugmentRecipe recipe;
  recipe.jitter = 0.9f;
  recipe.hue = recipe.blur = 0.5f;
  recipe.grey = 0.3f;
  return recipe;
}

AugmentRecipe without_blur() {
  AugmentRecipe recipe = everything();
  recipe.blur = 0;
  return recipe;
}

/// A device on which no view fits into shared memory, and whose blocks make several views each.
class SmallDevice {
 public:
  SmallDevice() { info() = {kept_.name, 3, kept_.major, kept_.minor, kept_.memory, 1024}; }
  ~SmallDevice() { info() = kept_; }

 private:
  static cuda::DeviceInfo& info() { return const_cast<cuda::DeviceInfo&>(device().info()); }
  const cuda::DeviceInfo kept_ = info();
};

template <class T>
void on_device(Augment<T> call, const Images& images, std::vector<int64_t>& index, std::vector<T>& y) {
  auto bytes = images.bytes;
  fill_nan(y);
  Mirror mirror;
  mirror.add(bytes, index, y);
  call.images = mirror(bytes.data());
  mirror.move(call.index, call.y);
  run(call, device());
  mirror.fetch();
}

template <class T>
std::vector<T> on_cpu(Augment<T> call, std::vector<T> y, std::ptrdiff_t offset = 0) {
  cpu::Context context(1);
  fill_nan(y);
  call.y = y.data() + offset;
  run(call, context);
  return y;
}

/// Largest error of a blurred view: every weight is off by at most 2 spacings, before and after the division
/// by their sum, so all are by 4; values up to 1 then grow by 1 / std. A store as T adds half a spacing.
template <class T>
Tolerance<T> tolerance_of_blur(const AugmentRecipe& recipe) {
  return {1, 1 / *std::min_element(recipe.std, recipe.std + 3)};
}

/// Two views of as many images as the build can afford.
template <class T>
void check_against_cpu(Images images, const AugmentRecipe& recipe, ViewShape shape, bool random = true) {
  const int64_t elements = int64_t{shape.height} * shape.width * shape.stored_channels;
  while (images.count > 2 && !affordable(1000 * images.count)) --images.count;  // a view has many barriers
  while (images.count > 1 && !affordable(2 * elements * images.count)) --images.count;
  if (!affordable(2 * elements * images.count)) return;
  auto index = first(images.count);
  std::reverse(index.begin(), index.end());
  std::vector<T> y(static_cast<size_t>(2 * images.count * elements));
  std::vector<float> exact(y.size());
  auto call = random_views(images.all(), index, recipe, 9, 4, 2, shape, y.data());
  auto in_float = random_views(images.all(), index, recipe, 9, 4, 2, shape, exact.data());
  call.random = in_float.random = random;
  const std::vector<T> want = on_cpu(call, y);
  const std::vector<double> real = doubles(on_cpu(in_float, exact));
  on_device(call, images, index, y);
  for (int i = 0; i < 2 * images.count; ++i) {
    const AugmentParams p =
        augment_params_of(call, i / images.count, index[static_cast<size_t>(i % images.count)]);
    INFO(images.height << "x" << images.width << " to " << shape.height << "x" << shape.width << ", view "
                       << i << ", jitter " << p.jitter << ", blur " << p.blur_sigma);
    const auto part = [&](const auto& all) {
      return std::vector(all.begin() + i * elements, all.begin() + (i + 1) * elements);
    };
    if (p.blur_sigma > 0) check_close(part(y), part(real), tolerance_of_blur<T>(recipe));
    else CHECK(same_bits(part(y), part(want)));
  }
  std::vector<T> again(y.size());
  call.y = again.data();
  on_device(call, images, index, again);
  CHECK(same_bits(y, again));
}

template <class T>
void check_shapes() {
  for (const AugmentRecipe& recipe : {without_blur(), everything()}) {
    check_against_cpu<T>(Images(6, 32, 32, 3), recipe, {32, 32, 3});
    check_against_cpu<T>(Images(7, 17, 23, 3), recipe, {19, 21, 3});  // both ways, no whole pack
    check_against_cpu<T>(Images(7, 40, 37, 3), recipe, {9, 7, 3});    // strong shrinking
    check_against_cpu<T>(Images(7, 9, 11, 3), recipe, {8, 8, 8});     // padded channels
    check_against_cpu<T>(Images(7, 2, 1, 3), recipe, {3, 5, 3});      // radii beyond the edges
    check_against_cpu<T>(Images(7, 6, 5, 3), recipe, {1, 1, 4});
    check_against_cpu<T>(Images(7, 28, 28, 1), recipe, {28, 28, 1});
    check_against_cpu<T>(Images(7, 13, 19, 1), recipe, {7, 31, 1});
    check_against_cpu<T>(Images(7, 5, 5, 1), recipe, {6, 6, 8});
  }
}

bool same(const AugmentParams& a, const AugmentParams& b) {
  const auto floats = [](const AugmentParams& p) {
    return std::vector<float>{p.brightness, p.contrast, p.saturation, p.hue, p.blur_sigma};
  };
  return a.top == b.top && a.left == b.left && a.height == b.height && a.width == b.width &&
         a.flip == b.flip && a.jitter == b.jitter && a.grey == b.grey &&
         std::equal(a.order, a.order + 4, b.order) && same_bits(floats(a), floats(b));
}

}  // namespace

TEST_CASE("the parameters drawn on CUDA are the host's bit for bit", "[cuda][augment]") {
  const int count = affordable(2000) ? 700 : 40;
  std::vector<int64_t> index(static_cast<size_t>(count));
  for (size_t i = 0; i < index.size(); ++i)
    index[i] = philox(1, Purpose::test, uint32_t(i), 3, 0, 0).v[0];  // up to 2^32 - 1
  AugmentRecipe strong = everything();
  strong.brightness = strong.contrast = strong.saturation = 1.7f;
  strong.scale_min = 0.01f;
  strong.ratio_min = 0.01f;
  strong.ratio_max = 90;
  int wrong = 0;
  for (const uint64_t seed : {uint64_t{0}, uint64_t{20201120}, ~uint64_t{5}})
    for (const uint32_t epoch : {0u, 799u})
      for (const AugmentRecipe& recipe : {everything(), strong})
        for (const auto& [height, width] : {std::pair(32, 32), std::pair(375, 500), std::pair(100, 7)}) {
          Augment<float> call = random_views<float>({nullptr, height, width, 3}, index, recipe, seed, epoch,
                                                    2, {224, 224, 3}, nullptr);
          call.first_view = static_cast<int>(epoch % 2);
          std::vector<AugmentParams> drawn(static_cast<size_t>(2 * count));
          Mirror mirror;
          mirror.add(index, drawn);
          Augment<float> there = call;
          mirror.move(there.index);
          cuda::draw_augment_params(there, mirror(drawn.data()), device());
          mirror.fetch();
          for (int i = 0; i < 2 * count; ++i)
            wrong += !same(drawn[static_cast<size_t>(i)],
                           augment_params_of(call, i / count, index[static_cast<size_t>(i % count)]));
        }
  CHECK(wrong == 0);
}

TEMPLATE_TEST_CASE("views on CUDA are the CPU's", "[cuda][augment]", float, bf16) {
  check_shapes<TestType>();
}

TEMPLATE_TEST_CASE("views too large for shared memory are the CPU's on CUDA", "[cuda][augment]", float,
                   bf16) {
  {
    const SmallDevice small;
    check_shapes<TestType>();
  }
  check_against_cpu<TestType>(Images(1, 260, 230, 3), everything(), {224, 224, 3});
}

TEMPLATE_TEST_CASE("test views on CUDA are the CPU's", "[cuda][augment]", float, bf16) {
  check_against_cpu<TestType>(Images(3, 6, 5, 3), everything(), {6, 5, 3}, false);
  check_against_cpu<TestType>(Images(3, 6, 5, 3), everything(), {4, 8, 4}, false);
  check_against_cpu<TestType>(Images(3, 50, 50, 1), everything(), {4, 4, 1}, false);
}

TEMPLATE_TEST_CASE("views at an odd address, and of one image twice, are the CPU's on CUDA",
                   "[cuda][augment]", float, bf16) {
  const Images images(5, 10, 12, 3);
  std::vector<int64_t> index = {4, 1, 4};
  std::vector<TestType> y(1 + 3 * 8 * 8 * 3);
  auto call = random_views(images.all(), index, without_blur(), 2, 3, 1, {8, 8, 3}, y.data() + 1);
  call.first_view = 1;
  const auto want = on_cpu(call, y, 1);
  on_device(call, images, index, y);
  CHECK(same_bits(y, want));
  CHECK(std::equal(y.begin() + 1, y.begin() + 193, y.begin() + 385,
                   [](TestType a, TestType b) { return to_double(a) == to_double(b); }));
}

TEST_CASE("calls that make no sense say what to change on CUDA", "[cuda][augment]") {
  const Images images(1, 4, 4, 3);
  std::vector<int64_t> index = {0};
  std::vector<float> y(4 * 4 * 3);
  const Augment<float> good = random_views(images.all(), index, everything(), 0, 0, 1, {4, 4, 3}, y.data());
  const auto wrong = [&](auto change) {
    Augment<float> call = good;
    change(call);
    CHECK_THROWS_AS(run(call, device()), Error);
  };
  wrong([](auto& c) { c.channels = 2; });
  wrong([](auto& c) { c.stored_channels = 2; });
  wrong([](auto& c) { c.width = 1 << 27; });
  wrong([](auto& c) { c.count = 0; });
  wrong([](auto& c) { c.recipe.scale_min = 0; });
  wrong([](auto& c) { c.recipe.std[2] = 0; });
  wrong([](auto& c) { c.recipe.blur_sigma_max = NAN; });
}
