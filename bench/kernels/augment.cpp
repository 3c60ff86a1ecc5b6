// Views of random images, a sample of them against torchvision's definition in double.
#include "kernels/augment.h"

#include "bench/kernels/registry.h"
#include "data/augmenter.h"
#include "kernels/augment_call.h"
#include "tests/reference/augment.h"

namespace stopgrad::bench {
namespace {

template <class T>
struct Views {
  test::AugmentCase s;

  std::string op() const { return "augment"; }
  std::string shape() const {
    return fmt::format("v{}_n{}_h{}_w{}_c{}_h{}_w{}_s{}", s.views, s.count, s.height, s.width, s.channels,
                       s.out_height, s.out_width, s.stored_channels);
  }
  int64_t values_of_a_view() const { return int64_t{s.out_height} * s.out_width * s.stored_channels; }
  Augment<T> make(Arena& a) const {
    const auto byte = [](int64_t i) {
      return static_cast<uint8_t>(static_cast<uint32_t>(i) * 2654435761u >> 24);
    };
    const auto* images = a.make<uint8_t>(int64_t{s.count} * s.height * s.width * s.channels, byte);
    const auto* index = a.make<int64_t>(s.count, [this](int64_t i) { return s.count - 1 - i; });
    const ImageBytes from{images, s.height, s.width, s.channels};
    T* const y = a.output<T>(s.views * s.count * values_of_a_view());
    return random_views(from, {index, size_t(s.count)}, augment_recipe(s.recipe), 9, 4, s.views,
                        {s.out_height, s.out_width, s.stored_channels}, y);
  }
  void check(const Augment<T>& before, const Augment<T>& after, Comparison& c) const {
    c.written("y", after.y, s.views * s.count * values_of_a_view());
    // The largest factors of brightness, contrast and saturation, and 1 / std, make rounding errors grow.
    const AugmentRecipe& recipe = before.recipe;
    const double grown = (1 + recipe.brightness) * (1 + recipe.contrast) * (1 + recipe.saturation) /
                         *std::min_element(recipe.std, recipe.std + 3);
    for (int i = 0; i < s.views * s.count; i += std::max(1, s.views * s.count / 8) | 1) {
      const int image = i % s.count;
      const auto source = test::picture(source_of(before, image), s.height, s.width, s.channels);
      const AugmentParams params = augment_params_of(before, i / s.count, before.index[image]);
      const auto want = test::augment(source, params, recipe, s.out_height, s.out_width);
      const auto at = [&](int64_t k) {
        const int64_t channel = k % s.stored_channels;
        return channel < s.channels ? want.data[k / s.stored_channels * s.channels + channel] : 0.0;
      };
      c.close("y", after.y + i * values_of_a_view(), values_of_a_view(), at, test::Tolerance<T>{1, grown});
    }
  }
};

template <class T>
void add(Registry& registry) {
  for (const test::AugmentCase& c : registry.augmentations)
    registry.add<T>(Views<T>{c}, c.out_height == 32 && c.views == 2 && c.stored_channels == 3);
}

}  // namespace

void add_augment(Registry& registry) {
  add<float>(registry);
  add<bf16>(registry);
}

}  // namespace stopgrad::bench
