#include "models/model.h"

#include <algorithm>
#include <cstdio>

#include "engine/checkpoint.h"
#include "engine/safetensors.h"
#include "kernels/cpu_features.h"

namespace stopgrad {

Model::Model(const Recipe& recipe, ImageSize images)
    : recipe_(recipe),
      images_(images),
      compute_(recipe.device, static_cast<int>(recipe.threads), recipe.precision),
      permanent_(device()),
      step_(device(), device().is_cpu() ? size_t{16} << 20 : 0) {
  check_recipe(recipe);
  if (recipe_.precision == "auto")  // decided once: checkpoints and recipe.toml hold what it became
    recipe_.precision =
        device().is_cpu() && cpu::bf16_is_fast_here() && !needs_float32(recipe_) ? "bf16" : "float32";
  SimSiamConfig config = simsiam_config(recipe, images.height, images.width, images.channels);
  if (recipe.form == "auto") config.form = compute_.prefers_batched() ? ViewForm::batched : ViewForm::branch;
  method_ = std::make_unique<SimSiam>(config);
  slab_ = std::make_unique<ParameterSlab>(permanent_, activation_type(recipe_),
                                          [&](Visitor& v) { method_->visit(v); });
  slab_->initialize(static_cast<uint64_t>(recipe.seed));
}

int Model::stored_channels() const {
  const bool pad = !device().is_cpu() && activations() == DType::bf16 && recipe_.backbone != "mlp";
  return pad ? std::max(images_.channels, 8) : images_.channels;
}

Recipe recipe_of(const std::string& checkpoint) {
  const SafetensorsHeader header = read_header(checkpoint);
  const auto recipe = header.metadata.find("stopgrad.recipe");
  if (recipe == header.metadata.end())
    fail(Exit::checkpoint, "{} holds no recipe; it is not a checkpoint of a run", checkpoint);
  return parse_recipe(recipe->second, checkpoint);
}

std::unique_ptr<Model> load_model(const std::string& path, int64_t threads, const std::string& device) {
  const SafetensorsHeader header = read_header(path);
  const auto recipe = header.metadata.find("stopgrad.recipe"),
             size = header.metadata.find("stopgrad.image_size");
  ImageSize images;
  const bool known =
      recipe != header.metadata.end() && size != header.metadata.end() &&
      std::sscanf(size->second.c_str(), "%dx%dx%d", &images.height, &images.width, &images.channels) == 3;
  auto sane = [](int n) { return n > 0 && n <= 16384; };
  if (!known || !sane(images.height) || !sane(images.width) || !sane(images.channels))
    fail(Exit::checkpoint,
         "{} holds no recipe and image size; it is not a checkpoint of a run (simsiam train makes them)",
         path);
  Recipe r = parse_recipe(recipe->second, path);
  r.threads = threads;
  r.device = device;
  if (r.precision == "bf16" || r.precision == "tf32") r.precision = "float32";
  auto model = std::make_unique<Model>(r, images);
  load_checkpoint(path, model->slab(), false);
  return model;
}

}  // namespace stopgrad
