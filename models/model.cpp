#include "models/model.h"

#include <algorithm>
#include <charconv>

#include "engine/checkpoint.h"
#include "engine/safetensors.h"
#include "kernels/cpu_features.h"
#include "models/byol.h"
#include "models/diagnostics.h"
#include "models/moco.h"
#include "models/simclr.h"

namespace stopgrad {

namespace {
/// Before a device is looked for: a wrong recipe is the first thing to be told about.
const Recipe& checked(const Recipe& recipe) {
  check_recipe(recipe);
  return recipe;
}

std::unique_ptr<Method> method_of(const Recipe& r, const SimSiamConfig& config) {
  if (r.method == "byol") return std::make_unique<Byol>(config, r.target_momentum);
  if (r.method == "simclr") return std::make_unique<Simclr>(config, r.temperature);
  if (r.method == "swav") return std::make_unique<Swav>(config, swav_config(r));
  if (r.method == "moco")
    return std::make_unique<Moco>(config,
                                  MocoConfig{r.temperature, r.target_momentum, static_cast<int>(r.queue)});
  return std::make_unique<SimSiam>(config);
}
}  // namespace

Model::Model(const Recipe& recipe, ImageSize images)
    : recipe_(checked(recipe)),
      images_(images),
      compute_(recipe.device, static_cast<int>(recipe.threads), recipe.precision),
      permanent_(device()),
      step_(device(), device().is_cpu() ? size_t{16} << 20 : 0) {
  if (recipe_.precision == "auto")  // decided once: checkpoints and recipe.toml hold what it became
    recipe_.precision =
        device().is_cpu() && cpu::bf16_is_fast_here() && !needs_float32(recipe_) ? "bf16" : "float32";
  SimSiamConfig config = simsiam_config(recipe, images.height, images.width, images.channels);
  if (recipe.form == "auto") config.form = compute_.prefers_batched() ? ViewForm::batched : ViewForm::branch;
  method_ = method_of(recipe, config);
  slab_ = std::make_unique<ParameterSlab>(permanent_, activation_type(recipe_),
                                          [&](Visitor& v) { method_->visit(v); });
  slab_->initialize(static_cast<uint64_t>(recipe.seed));
  method_->after_initialize();
}

std::unique_ptr<Optimizer> make_optimizer(Model& model) {
  const Recipe& r = model.recipe();
  if (r.optimizer == "lars") return std::make_unique<Lars>(model.slab(), r.momentum, r.decay, r.trust);
  return std::make_unique<Sgd>(model.slab(), r.momentum, r.decay);
}

int Model::stored_channels() const {
  const bool pad = !device().is_cpu() && activations() == DType::bf16 && recipe_.backbone != "mlp";
  return pad ? std::max(images_.channels, 8) : images_.channels;
}

namespace {

/// The metadata of a run's checkpoint, with a recipe and of the version that is read here.
Metadata run_metadata(const std::string& path) {
  Metadata out = read_header(path).metadata;
  if (!out.contains("stopgrad.recipe"))
    fail(Exit::checkpoint, "{} holds no recipe; it is not a checkpoint of a run (simsiam train makes them)",
         path);
  const std::string version = out["stopgrad.version"];
  if (version != kCheckpointVersion)
    fail(Exit::checkpoint,
         "{} is of version {}, this program reads version {}; use the program that wrote it", path,
         quoted_ascii(version), kCheckpointVersion);
  return out;
}

Recipe recipe_in(const Metadata& metadata, const std::string& path) {
  try {
    const Recipe recipe = parse_recipe(metadata.at("stopgrad.recipe"), path);
    check_recipe(recipe);
    return recipe;
  } catch (const Error& e) {
    fail(Exit::checkpoint, "the recipe inside {} is damaged: {}", path, e.what());
  }
}

ImageSize image_size_in(const Metadata& metadata, const std::string& path) {
  const auto size = metadata.find("stopgrad.image_size");
  ImageSize out;
  const std::string text = size == metadata.end() ? "" : size->second + "x";
  const char *at = text.data(), *const end = at + text.size();
  for (int* side : {&out.height, &out.width, &out.channels}) {
    const auto [after, error] = std::from_chars(at, end, *side);
    if (error != std::errc() || after == end || *after != 'x') break;
    at = after + 1;
  }
  auto sane = [](int n) { return n > 0 && n <= 16384; };
  if (at != end || !sane(out.height) || !sane(out.width) || (out.channels != 1 && out.channels != 3))
    fail(Exit::checkpoint, "{} holds no usable image size; it is not a checkpoint of a run", path);
  return out;
}

}  // namespace

Recipe recipe_of(const std::string& checkpoint) { return recipe_in(run_metadata(checkpoint), checkpoint); }

std::unique_ptr<Model> load_model(const std::string& path, int64_t threads, const std::string& device) {
  const Metadata metadata = run_metadata(path);
  Recipe r = recipe_in(metadata, path);
  r.threads = threads;
  r.device = device;
  if (r.precision == "bf16" || r.precision == "tf32") r.precision = "float32";
  auto model = std::make_unique<Model>(r, image_size_in(metadata, path));
  load_checkpoint(path, model->slab(), false);
  if (const int64_t odd = not_finite(model->slab()); odd > 0)
    fail(Exit::checkpoint, "{} holds {} values that are not finite; take an older checkpoint", path, odd);
  return model;
}

}  // namespace stopgrad
