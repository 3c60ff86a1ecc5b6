// The stem with channels of zeros: the same net, whose weights on disk and gradients know three channels.
#include <catch2/catch.hpp>

#include <memory>

#include "engine/checkpoint.h"
#include "engine/ops.h"
#include "engine/safetensors.h"
#include "kernels/cuda_context.h"
#include "models/features.h"
#include "tests/compare.h"
#include "tests/small_run.h"

using namespace stopgrad;
using namespace stopgrad::test;

namespace {

Recipe half_recipe(const std::string& device, const std::string& precision = "bf16") {
  Recipe recipe = small_recipe();
  recipe.device = device;
  recipe.precision = precision;
  return recipe;
}

/// y and dw of a convolution of images that are stored with so many channels.
template <class T>
std::pair<std::vector<T>, std::vector<Acc<T>>> stem(const Pool& pool, int64_t stored) {
  constexpr int64_t kImages = 2, kSize = 6, kChannels = 3, kOut = 5;
  Parameter w{.shape = {kOut, 3, 3, kChannels}};
  ParameterSlab slab(pool, dtype_of<T>, [&](Visitor& v) { v.parameter("conv1.weight", w); });
  w.value.from_host(random<Acc<T>>(size_t(w.shape.count()), 1).data());
  slab.refresh_compute();
  const auto pixels = random<T>(kImages * kSize * kSize * kChannels, 2);
  std::vector<T> images(size_t(kImages * kSize * kSize * stored), from_double<T>(0));
  for (size_t i = 0; i < pixels.size(); ++i)
    images[i / kChannels * size_t(stored) + i % kChannels] = pixels[i];
  Tape tape;
  const Var x = tape.input(Tensor::of(pool, {kImages, kSize, kSize, stored}, images));
  const Var y = conv2d(x, w, 1, 1);
  const Var unit = l2_normalize(reshape(y, {kImages * kSize * kSize, kOut}));
  const Tensor target = Tensor::of(pool, unit.shape(), random<T>(size_t(unit.shape().count()), 3));
  const Var loss = cosine_loss({{unit, detach(tape.input(target))}});
  slab.clear_gradients();
  tape.backward(loss);
  CHECK(w.grad.shape() == w.shape);
  return {y.value.to_vector<T>(), w.grad.template to_vector<Acc<T>>()};
}

}  // namespace

TEMPLATE_TEST_CASE("a convolution of images with channels of zeros is that of the images",
                   "[cuda][padded_stem]", float, bf16) {
  using T = TestType;
  using A = Acc<T>;
  cuda::Context context;
  cpu::Context host(1);
  const auto [want, dwant] = stem<T>(Pool(Device{.cpu = &host}), 3);
  for (const Device device : {Device{.cuda = &context}, Device{.cpu = &host}})
    for (const int64_t stored : {3, 8}) {
      INFO((device.is_cpu() ? "CPU, " : "CUDA, ") << stored << " channels");
      const auto [y, dw] = stem<T>(Pool(device), stored);
      check_close(y, doubles(want), Tolerance<T>{27 + 1, 1});
      double size = 0;
      for (const A value : dwant) size = std::max(size, std::abs(to_double(value)));
      REQUIRE(dw.size() == dwant.size());
      // Of 72 terms, each rounded to T on its way, as the sum is in bf16.
      for (size_t i = 0; i < dw.size(); ++i) REQUIRE(std::abs(dw[i] - dwant[i]) <= 8 * epsilon_of<T> * size);
    }
}

TEST_CASE("views have eight channels where tensor cores take the stem, and nowhere else",
          "[cuda][padded_stem]") {
  const auto stored = [](const Recipe& recipe) { return Model(recipe, {8, 8, 3}).stored_channels(); };
  CHECK(stored(half_recipe("cuda")) == 8);
  CHECK(stored(half_recipe("cuda", "float32")) == 3);
  CHECK(stored(half_recipe("cpu")) == 3);
  Recipe flat = half_recipe("cuda");
  flat.backbone = "mlp";
  CHECK(stored(flat) == 3);
}

TEST_CASE("a checkpoint of a padded stem holds three channels and goes on anywhere", "[cuda][padded_stem]") {
  Folder folder;
  Recipe recipe = half_recipe("cuda");
  recipe.steps = 3;
  Model model(recipe, {8, 8, 3});
  Trainer(model, small_set(), nullptr, folder.path.string()).run({});
  const std::string path = latest_checkpoint(folder.path.string());
  int stems = 0;
  for (const TensorInfo& tensor : read_header(path).tensors)
    if (tensor.name.find("conv1.weight") != std::string::npos &&
        tensor.name.find("layer") == std::string::npos) {
      ++stems;
      CHECK(tensor.shape == std::vector<int64_t>{4, 3, 3, 3});
    }
  CHECK(stems >= 1);
  const auto loaded = [&](const char* device) {
    recipe.device = device;
    auto model = std::make_unique<Model>(recipe, ImageSize{8, 8, 3});
    load_checkpoint(path, model->slab(), false);
    return model;
  };
  const auto on_cpu = loaded("cpu"), on_cuda = loaded("cuda");
  const std::vector<float> want = extract_features(*on_cpu, small_set(), EvalView::clean).to_vector<float>(),
                           got = extract_features(*on_cuda, small_set(), EvalView::clean).to_vector<float>();
  double worst = 0;
  for (size_t i = 0; i < want.size(); ++i)
    worst = std::max(worst, std::abs(double(got[i]) - want[i]) / (1 + std::abs(double(want[i]))));
  CHECK(worst < 64 * 0x1p-7);
  const Tensor pixels = pixel_features(*on_cuda, small_set(), EvalView::clean);
  CHECK(pixels.shape()[1] == 8 * 8 * 8);
  CHECK(knn_of_features(recipe, pixels, small_set(), pixels, small_set()) == [&] {
    const Tensor plain = pixel_features(*on_cpu, small_set(), EvalView::clean);
    return knn_of_features(recipe, plain, small_set(), plain, small_set());
  }());
}
