#include "models/features.h"

#include <numeric>

#include "data/free_memory.h"
#include "kernels/elementwise.h"
#include "models/image_feed.h"
#include "models/knn.h"

namespace stopgrad {

namespace {

constexpr uint64_t kRobustSeed = 20201120;  // fixed: robust figures of different runs compare
constexpr uint32_t kRobustEpoch = 0xffffffff;

AugmentRecipe robust_recipe(const AugmentRecipe& training) {
  AugmentRecipe r = training;
  r.scale_min = 0.5f;
  r.scale_max = 1;
  r.ratio_min = 3.0f / 4;
  r.ratio_max = 4.0f / 3;
  r.flip = 0.5f;
  r.jitter = 0.8f;
  r.brightness = r.contrast = r.saturation = 0.4f;
  r.hue = 0.1f;
  r.grey = r.blur = 0;
  return r;
}

/// As many images at a time as keep the activations of a batch within those of 256 images of 128 x 128.
int batch_for(const Dataset& set) {
  const int64_t pixels = int64_t{set.height} * set.width;
  return static_cast<int>(std::clamp<int64_t>((int64_t{256} * 128 * 128) / pixels, 1, 256));
}

/// Images [first, first + count) of the set as activations of the model [count, H, W, C].
Tensor evaluation_batch(Model& model, ImageFeed& feed, const Dataset& set, EvalView view, int64_t first,
                        int count) {
  std::vector<int64_t> index(static_cast<size_t>(count));
  std::iota(index.begin(), index.end(), first);
  const Tensor x(model.step_memory(), {count, set.height, set.width, model.stored_channels()},
                 model.activations());
  feed.bring(kRobustEpoch, index);
  visit_float(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    Augment<T> call{.views = 1,
                    .first_view = 0,
                    .seed = kRobustSeed,
                    .recipe = robust_recipe(model.recipe().views),
                    .out_height = set.height,
                    .out_width = set.width,
                    .stored_channels = model.stored_channels(),
                    .random = view == EvalView::robust,
                    .y = x.data<T>()};
    feed.aim(call);
    launch(x.device(), call);
  });
  return x;
}

void store_as_float(const Tensor& from, const Tensor& to) {
  visit_float(from.dtype(), [&](auto zero) {
    using T = decltype(zero);
    if constexpr (std::is_same_v<T, float>)
      launch(from.device(), Scale<float>{from.count(), 1, from.data<float>(), to.data<float>(), false});
    else launch(from.device(), Cast<T, float>{from.count(), from.data<T>(), to.data<float>()});
  });
}

template <class F>
Tensor collect(Model& model, const Dataset& set, EvalView view, int64_t width, F&& map,
               const std::function<void(int64_t, int64_t)>& progress) {
  if (model.device().is_cpu())
    require_memory(set.count * width * int64_t{sizeof(float)},
                   fmt::format("{} numbers of each of {} images", width, set.count),
                   "use fewer images (data.limit, or --limit of eval)");
  const Tensor out(model.permanent(), {set.count, width}, DType::f32);
  const int batch = batch_for(set);
  ImageFeed feed(model.step_memory(), set, batch, 0);  // each image is read once: no copy of the whole set
  for (int64_t first = 0; first < set.count; first += batch) {
    const int count = static_cast<int>(std::min<int64_t>(batch, set.count - first));
    store_as_float(map(evaluation_batch(model, feed, set, view, first, count)),
                   out.part(first, first + count));
    if (progress) progress(first + count, set.count);
  }
  return out;
}

}  // namespace

Tensor extract_features(Model& model, const Dataset& set, EvalView view,
                        const std::function<void(int64_t, int64_t)>& progress) {
  ENSURE((ImageSize{set.height, set.width, set.channels} == model.images()),
         "features: the set {} holds {}x{}x{} images, the model was built for {}x{}x{}", set.name, set.height,
         set.width, set.channels, model.images().height, model.images().width, model.images().channels);
  return collect(
      model, set, view, model.method().feature_size(),
      [&](const Tensor& x) { return model.method().features(x); }, progress);
}

Tensor pixel_features(Model& model, const Dataset& set, EvalView view) {
  return collect(model, set, view, int64_t{set.height} * set.width * model.stored_channels(),
                 [](const Tensor& x) { return x; }, {});
}

double knn_of_features(const Recipe& recipe, const Tensor& bank, const Dataset& train, const Tensor& queries,
                       const Dataset& test) {
  return knn_accuracy(bank, train.labels, queries, test.labels, static_cast<int>(recipe.knn_k),
                      recipe.knn_temperature);
}

const Dataset& first_images(const Dataset& set, int64_t count, Dataset& room) {
  if (count <= 0 || count >= set.count) return set;
  const auto first = [](const auto& from, int64_t n) {
    return std::decay_t<decltype(from)>(from.begin(), from.begin() + std::min<int64_t>(n, std::ssize(from)));
  };
  room = {.name = set.name,
          .count = count,
          .height = set.height,
          .width = set.width,
          .channels = set.channels,
          .images = first(set.images, count * set.image_bytes()),
          .labels = first(set.labels, count),
          .classes = set.classes,
          .files = first(set.files, count)};
  return room;
}

}  // namespace stopgrad
