// The keys of a recipe, in the order of its file.
#include "data/nearest.h"
#include "models/recipe.h"
#include "models/recipe_values.h"

namespace stopgrad {

namespace {

using Choices = std::vector<std::string>;

/// A TOML value as a node of its own; the table keeps it alive.
toml::table parse_value(const std::string& name, const std::string& text) {
  try {
    return toml::parse("value = " + text);
  } catch (const toml::parse_error& e) {
    fail(Exit::config, "{} = {}: {}", name, text, e.description());
  }
}

/// A key over one member that `at` finds in a recipe.
template <class At>
RecipeKey key(const std::string& name, const std::string& help, At at, const Choices& choices = {}) {
  RecipeKey k{name, help, {}, {}};
  k.get = [at](const Recipe& r) { return literal(at(const_cast<Recipe&>(r))); };
  k.set = [at, name, choices](Recipe& r, const std::string& text) {
    const toml::table table = parse_value(name, text);
    auto& member = at(r);
    assign(member, *table.get("value"), name, text);
    if constexpr (std::is_same_v<std::decay_t<decltype(member)>, std::string>) {
      if (!choices.empty() && std::find(choices.begin(), choices.end(), member) == choices.end())
        fail(Exit::config, "{} = {}: {}possible: {}", name, text, did_you_mean(member, choices),
             fmt::join(choices, ", "));
    }
  };
  return k;
}

/// A key over `count` floats: ranges, means.
template <class At>
RecipeKey floats(const std::string& name, const std::string& help, size_t count, At at) {
  RecipeKey k{name, help, {}, {}};
  k.get = [=](const Recipe& r) {
    std::string out = "[";
    for (size_t i = 0; i < count; ++i) out += (i ? ", " : "") + literal(at(const_cast<Recipe&>(r), i));
    return out + "]";
  };
  k.set = [=](Recipe& r, const std::string& text) {
    const toml::table table = parse_value(name, text);
    const toml::array* list = table.get("value")->as_array();
    if (!list || list->size() != count) wrong(name, fmt::format("a list of {} numbers", count).c_str(), text);
    for (size_t i = 0; i < count; ++i) assign(at(r, i), *list->get(i), name, text);
  };
  return k;
}

#define MEMBER(path) \
  [](Recipe & r) -> auto& { return r.path; }

std::vector<RecipeKey> data_and_view_keys() {
  return {
      key("data.set",
          "fashion_mnist | cifar10:DIR | cifar100:DIR | folder:DIR | "
          "idx:IMAGES,LABELS;TEST_IMAGES,TEST_LABELS | synthetic",
          MEMBER(data)),
      key("data.image_size", "side to which images of a folder are brought; 0: the set's own, 32 for folders",
          MEMBER(image_size)),
      key("data.limit", "use only the first so many training images; 0: all", MEMBER(limit)),
      key("augment.preset", "values that the keys below start from", MEMBER(augment),
          {"cifar", "imagenet", "grey"}),
      floats("augment.scale", "area of the crop", 2,
             [](Recipe& r, size_t i) -> float& { return i ? r.views.scale_max : r.views.scale_min; }),
      floats("augment.ratio", "aspect of the crop, drawn log-uniformly", 2,
             [](Recipe& r, size_t i) -> float& { return i ? r.views.ratio_max : r.views.ratio_min; }),
      key("augment.jitter", "probability of colour jitter", MEMBER(views.jitter)),
      key("augment.brightness", "factor from [1 - x, 1 + x]", MEMBER(views.brightness)),
      key("augment.contrast", "factor from [1 - x, 1 + x]", MEMBER(views.contrast)),
      key("augment.saturation", "factor from [1 - x, 1 + x]", MEMBER(views.saturation)),
      key("augment.hue", "shift from [-x, x] of the circle", MEMBER(views.hue)),
      key("augment.grey", "probability of grey", MEMBER(views.grey)),
      key("augment.blur", "probability of Gaussian blur", MEMBER(views.blur)),
      floats(
          "augment.blur_sigma", "standard deviation of that blur in pixels, drawn uniformly", 2,
          [](Recipe& r, size_t i) -> float& { return i ? r.views.blur_sigma_max : r.views.blur_sigma_min; }),
      key("augment.flip", "probability of a horizontal flip", MEMBER(views.flip)),
      floats("augment.mean", "subtracted per channel, of pixels in [0, 1]", 3,
             [](Recipe& r, size_t i) -> float& { return r.views.mean[i]; }),
      floats("augment.std", "divides what is left, per channel", 3,
             [](Recipe& r, size_t i) -> float& { return r.views.std[i]; }),
  };
}

std::vector<RecipeKey> network_keys() {
  return {
      key("net.backbone", "network up to the pooled features; small takes widths and blocks",
          MEMBER(backbone), {"small", "resnet18", "resnet34", "resnet50", "mlp"}),
      key("net.stem", "3x3 without pooling (cifar), or 7x7/2 and max pool (imagenet)", MEMBER(stem),
          {"cifar", "imagenet"}),
      key("net.stem_stride", "stride of the 3x3 stem", MEMBER(stem_stride)),
      key("net.widths", "of small: channels per stage; of mlp: layer widths", MEMBER(widths)),
      key("net.blocks", "of small: blocks per stage", MEMBER(blocks)),
      key("net.conv_init", "normal by fan out (torchvision's ResNet) or uniform by fan in (PyTorch's layers)",
          MEMBER(conv_init), {"fan_out", "fan_in"}),
      key("net.zero_gamma", "the last batch norm of each block starts at 0", MEMBER(zero_gamma)),
      key("projector.widths", "hidden layers and output d", MEMBER(projector)),
      key("projector.hidden_norm", "batch norm in hidden layers (Table 3)", MEMBER(projector_hidden_norm)),
      key("projector.output_norm", "batch norm at the output (Table 3)", MEMBER(projector_output_norm)),
      key("projector.output_affine", "scale and shift in that batch norm", MEMBER(projector_output_affine)),
      key("projector.output_scale",
          "a scale there that is kept, only the shift is trained; 0: trained from 1",
          MEMBER(projector_output_scale)),
      key("predictor.kind", "Table 1: learned, fixed at its start values, or none", MEMBER(predictor),
          {"learned", "fixed", "none"}),
      key("predictor.hidden", "width of the bottleneck; the paper takes d/4", MEMBER(predictor_hidden)),
      key("predictor.hidden_norm", "batch norm in the hidden layer (Table 3)", MEMBER(predictor_hidden_norm)),
      key("predictor.output_norm", "batch norm at the output (Table 3)", MEMBER(predictor_output_norm)),
      key("predictor.fixed_rate", "the predictor's learning rate does not decay (Table 1 c)",
          MEMBER(predictor_fixed_rate)),
  };
}

std::vector<RecipeKey> method_and_training_keys() {
  return {
      key("method.name", "byol: the targets come from a moving average of the encoder", MEMBER(method),
          {"simsiam", "byol"}),
      key("method.target_momentum", "of that average at the first step; rises to 1 at the end of training",
          MEMBER(target_momentum)),
      key("method.stop_gradient", "the wall; false removes it", MEMBER(stop_gradient)),
      key("method.similarity", "how p and z are compared: section 4.5 of the paper", MEMBER(similarity),
          {"cosine", "cross_entropy"}),
      key("method.symmetry", "which view predicts which: section 4.6 of the paper", MEMBER(symmetry),
          {"symmetric", "asymmetric", "asymmetric_2x"}),
      key("method.views", "views per image of the symmetric loss", MEMBER(view_count)),
      key("method.form",
          "views one after the other, or as groups of one batch; auto: branch on the CPU, batched on CUDA",
          MEMBER(form), {"auto", "branch", "batched"}),
      key("train.batch", "images per step", MEMBER(batch)),
      key("train.epochs", "length of the run; 0: train.steps counts", MEMBER(epochs)),
      key("train.steps", "length of the run in steps, when epochs is 0", MEMBER(steps)),
      key("train.base_rate", "learning rate at batch 256; scaled by batch / 256", MEMBER(base_rate)),
      key("train.momentum", "momentum of SGD", MEMBER(momentum)),
      key("train.decay", "weight decay, on every parameter", MEMBER(decay)),
      key("train.warmup_epochs",
          "epochs over which the rate climbs from 0; not that of a predictor with fixed_rate",
          MEMBER(warmup_epochs)),
      key("train.schedule", "the cosine moves with every step or epoch", MEMBER(schedule), {"step", "epoch"}),
      key("train.precision", "type of activations; auto: bf16 on a CPU that computes it fast, else float32",
          MEMBER(precision), {"auto", "float32", "tf32", "bf16", "float64"}),
      key("train.device", "auto (CUDA where there is one), cpu, cuda or cuda:N", MEMBER(device)),
      key("train.graph", "on CUDA the step is replayed as one graph; false: launched anew, for debugging",
          MEMBER(graph)),
      key("train.seed", "seed of the start values, the order of images and the augmentation", MEMBER(seed)),
      key("train.threads", "0: all processors of this process", MEMBER(threads)),
  };
}

std::vector<RecipeKey> monitor_keys() {
  return {
      key("monitor.knn_every", "epochs between kNN evaluations; 0: only at the end", MEMBER(knn_every)),
      key("monitor.knn_k", "how many nearest neighbours vote", MEMBER(knn_k)),
      key("monitor.knn_temperature", "T in the weight of a vote, exp(cosine / T)", MEMBER(knn_temperature)),
      key("monitor.knn_bank", "training images in the bank of the running monitor; 0: all", MEMBER(knn_bank)),
      key("monitor.checkpoint_every", "epochs between checkpoints; 0: only at the end",
          MEMBER(checkpoint_every)),
      key("monitor.keep_checkpoints", "how many of the newest checkpoints are kept",
          MEMBER(keep_checkpoints)),
      key("monitor.collapse_spread", "alarm when the spread (1 healthy, 0 collapsed) falls below",
          MEMBER(collapse_spread)),
      key("monitor.fail_on_collapse", "the alarm ends the run with exit code 6", MEMBER(fail_on_collapse)),
  };
}

#undef MEMBER

std::vector<RecipeKey> make_keys() {
  std::vector<RecipeKey> out;
  for (const auto& part : {data_and_view_keys(), network_keys(), method_and_training_keys(), monitor_keys()})
    out.insert(out.end(), part.begin(), part.end());
  return out;
}

}  // namespace

const std::vector<RecipeKey>& recipe_keys() {
  static const std::vector<RecipeKey> keys = make_keys();
  return keys;
}

}  // namespace stopgrad
