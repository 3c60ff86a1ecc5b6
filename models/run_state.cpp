#include "models/run_state.h"

#include <charconv>

#include "engine/safetensors.h"

namespace stopgrad {

namespace {

/// The recipe without what may change between the parts of a run.
std::string identity(Recipe r) {
  const Recipe plain;
  r.knn_every = plain.knn_every;
  r.knn_k = plain.knn_k;
  r.knn_bank = plain.knn_bank;
  r.max_bad = plain.max_bad;
  r.checkpoint_every = plain.checkpoint_every;
  r.checkpoint_seconds = plain.checkpoint_seconds;
  r.keep_checkpoints = plain.keep_checkpoints;
  r.knn_temperature = plain.knn_temperature;
  r.collapse_spread = plain.collapse_spread;
  r.fail_on_collapse = plain.fail_on_collapse;
  r.threads = plain.threads;
  r.device = plain.device;
  r.graph = plain.graph;
  return to_toml(r);
}

int64_t number(const Metadata& metadata, const std::string& path, const char* key) {
  const auto found = metadata.find(key);
  constexpr int64_t kMost = int64_t{1} << 53;  // sums of such numbers stay numbers
  const std::string text = found == metadata.end() ? "" : found->second;
  int64_t value = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 0 || value > kMost)
    fail(Exit::checkpoint, "{}: no usable '{}' in its metadata; not a checkpoint of a run", path, key);
  return value;
}

}  // namespace

Metadata to_metadata(const RunState& state, const Model& model, const Dataset& train) {
  Metadata out = {{"format", "pt"},
                  {"stopgrad.version", kCheckpointVersion},
                  {"stopgrad.recipe", to_toml(model.recipe())},
                  {"stopgrad.step", std::to_string(state.step)},
                  {"stopgrad.images", std::to_string(train.count)},
                  {"stopgrad.image_size", fmt::format("{}x{}x{}", train.height, train.width, train.channels)},
                  {"stopgrad.device", model.compute().name()},
                  {"stopgrad.metrics_bytes", std::to_string(state.metrics_bytes)},
                  {"stopgrad.low_steps", std::to_string(state.low_steps)},
                  {"stopgrad.alarmed", std::to_string(state.alarmed)}};
  if (const std::string plans = model.compute().library_plans(); !plans.empty())
    out["stopgrad.library_plans"] = plans;
  return out;
}

RunState state_of_run(const std::string& path, const Model& model, const Dataset& train) {
  if (identity(recipe_of(path)) != identity(model.recipe()))
    fail(Exit::checkpoint, "{} was made by another recipe; resume with the recipe.toml beside it", path);
  const Metadata metadata = read_header(path).metadata;
  const int64_t images = number(metadata, path, "stopgrad.images");
  if (images != train.count)
    fail(Exit::checkpoint, "{} was made with {} training images, {} has {}", path, images, train.name,
         train.count);
  const auto number_or_0 = [&](const char* key) {
    return metadata.contains(key) ? number(metadata, path, key) : 0;
  };
  return {.step = number(metadata, path, "stopgrad.step"),
          .metrics_bytes = static_cast<uint64_t>(number(metadata, path, "stopgrad.metrics_bytes")),
          .low_steps = number_or_0("stopgrad.low_steps"),
          .alarmed = number_or_0("stopgrad.alarmed") != 0};
}

std::string restore_circumstances(const Metadata& then, const Compute& compute) {
  const auto device = then.find("stopgrad.device"), plans = then.find("stopgrad.library_plans");
  std::string out = plans == then.end() ? "" : compute.pin_library_plans(plans->second);
  if (device != then.end() && device->second != compute.name())
    out = fmt::format("device {} then, {} now", device->second, compute.name());
  return out.empty() ? out : "bits may differ from a run without a break: " + out;
}

}  // namespace stopgrad
