#include "models/recipe.h"

#include <toml++/toml.h>

#include <array>
#include <fstream>
#include <sstream>

#include "data/augmenter.h"
#include "data/nearest.h"

namespace stopgrad {

namespace {

using Choices = std::vector<std::string>;

std::string literal(const std::string& s) {
  std::ostringstream out;
  out << toml::value<std::string>(s);
  return out.str();
}
std::string literal(bool b) { return b ? "true" : "false"; }
std::string literal(int64_t i) { return fmt::format("{}", i); }
template <class T>
requires std::is_floating_point_v<T> std::string literal(T x) {
  const std::string s = fmt::format("{}", x);  // shortest text that reads back the same
  return s.find_first_of(".en") == std::string::npos ? s + ".0" : s;
}
template <class T>
std::string list_literal(const T* begin, size_t count) {
  std::string out = "[";
  for (size_t i = 0; i < count; ++i) out += (i ? ", " : "") + literal(begin[i]);
  return out + "]";
}
std::string literal(const std::vector<int64_t>& v) { return list_literal(v.data(), v.size()); }

[[noreturn]] void wrong(const std::string& name, const char* wanted, const std::string& text) {
  fail(Exit::config, "{} = {}: expected {}", name, text, wanted);
}

void assign(std::string& to, const toml::node& node, const std::string& name, const std::string& text) {
  if (const auto value = node.value<std::string>()) to = *value;
  else wrong(name, "a string in quotes", text);
}
void assign(bool& to, const toml::node& node, const std::string& name, const std::string& text) {
  if (node.is_boolean()) to = *node.value<bool>();
  else wrong(name, "true or false", text);
}
void assign(int64_t& to, const toml::node& node, const std::string& name, const std::string& text) {
  if (node.is_integer()) to = *node.value<int64_t>();
  else wrong(name, "a whole number", text);
}
template <class T>
requires std::is_floating_point_v<T>
void assign(T& to, const toml::node& node, const std::string& name, const std::string& text) {
  if (const auto value = node.value<double>(); value && node.is_number()) to = static_cast<T>(*value);
  else wrong(name, "a number", text);
}
void assign(std::vector<int64_t>& to, const toml::node& node, const std::string& name,
            const std::string& text) {
  if (!node.is_array()) wrong(name, "a list of whole numbers", text);
  to.clear();
  for (const toml::node& item : *node.as_array()) assign(to.emplace_back(), item, name, text);
}

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
        fail(Exit::config, "{} = {}: did you mean \"{}\"? Possible: {}", name, text,
             nearest_word(member, choices), fmt::join(choices, ", "));
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

std::vector<RecipeKey> make_keys() {
  std::vector<RecipeKey> keys = {
      key("data.set",
          "fashion_mnist | cifar10:DIR | cifar100:DIR | folder:DIR | idx:IMAGES,LABELS | synthetic",
          MEMBER(data)),
      key("data.image_size", "side to which images of a folder are brought; 0: the set's own, 32 for folders",
          MEMBER(image_size)),
      key("data.limit", "use only the first so many training images; 0: all", MEMBER(limit)),
      key("augment.preset", "start values of this section", MEMBER(augment), {"cifar", "imagenet", "grey"}),
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
          "augment.blur_sigma", "its width in pixels", 2,
          [](Recipe& r, size_t i) -> float& { return i ? r.views.blur_sigma_max : r.views.blur_sigma_min; }),
      key("augment.flip", "probability of a horizontal flip", MEMBER(views.flip)),
      floats("augment.mean", "subtracted per channel, of pixels in [0, 1]", 3,
             [](Recipe& r, size_t i) -> float& { return r.views.mean[i]; }),
      floats("augment.std", "divides per channel", 3,
             [](Recipe& r, size_t i) -> float& { return r.views.std[i]; }),
      key("net.backbone", "network up to the pooled features; small takes widths and blocks",
          MEMBER(backbone), {"small", "resnet18", "resnet34", "resnet50", "mlp"}),
      key("net.stem", "3x3 without pooling (cifar), or 7x7/2 and max pool (imagenet)", MEMBER(stem),
          {"cifar", "imagenet"}),
      key("net.stem_stride", "of the 3x3 stem", MEMBER(stem_stride)),
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
      key("method.stop_gradient", "the wall; false removes it", MEMBER(stop_gradient)),
      key("method.similarity", "section 4.5", MEMBER(similarity), {"cosine", "cross_entropy"}),
      key("method.symmetry", "section 4.6", MEMBER(symmetry), {"symmetric", "asymmetric", "asymmetric_2x"}),
      key("method.views", "views per image of the symmetric loss", MEMBER(view_count)),
      key("method.form",
          "views one after the other, or as groups of one batch; auto: branch on the CPU, batched on CUDA",
          MEMBER(form), {"auto", "branch", "batched"}),
      key("train.batch", "images per step", MEMBER(batch)),
      key("train.epochs", "length of the run; 0: train.steps counts", MEMBER(epochs)),
      key("train.steps", "length of the run in steps, when epochs is 0", MEMBER(steps)),
      key("train.base_rate", "learning rate at batch 256; scaled by batch / 256", MEMBER(base_rate)),
      key("train.momentum", "of SGD", MEMBER(momentum)),
      key("train.decay", "weight decay, on every parameter", MEMBER(decay)),
      key("train.warmup_epochs", "epochs over which the rate climbs from 0", MEMBER(warmup_epochs)),
      key("train.schedule", "the cosine moves with every step or epoch", MEMBER(schedule), {"step", "epoch"}),
      key("train.precision", "type of activations; auto: bf16 on a CPU that computes it fast, else float32",
          MEMBER(precision), {"auto", "float32", "tf32", "bf16", "float64"}),
      key("train.device", "auto (CUDA where there is one), cpu, cuda or cuda:N", MEMBER(device)),
      key("train.graph", "on CUDA the step is replayed as one graph; false: launched anew, for debugging",
          MEMBER(graph)),
      key("train.seed", "of start values, order and augmentation", MEMBER(seed)),
      key("train.threads", "0: all processors of this process", MEMBER(threads)),
      key("monitor.knn_every", "epochs between kNN evaluations; 0: only at the end", MEMBER(knn_every)),
      key("monitor.knn_k", "neighbours", MEMBER(knn_k)),
      key("monitor.knn_temperature", "of the vote exp(cosine / T)", MEMBER(knn_temperature)),
      key("monitor.knn_bank", "training images in the bank of the running monitor; 0: all", MEMBER(knn_bank)),
      key("monitor.checkpoint_every", "epochs between checkpoints; 0: only at the end",
          MEMBER(checkpoint_every)),
      key("monitor.keep_checkpoints", "how many stay", MEMBER(keep_checkpoints)),
      key("monitor.collapse_spread", "alarm when the spread (1 healthy, 0 collapsed) falls below",
          MEMBER(collapse_spread)),
      key("monitor.fail_on_collapse", "the alarm ends the run with exit code 6", MEMBER(fail_on_collapse)),
  };
  return keys;
}

const RecipeKey& find_key(const std::string& name, const std::string& where) {
  Choices names;
  for (const RecipeKey& k : recipe_keys()) {
    if (k.name == name) return k;
    names.push_back(k.name);
  }
  fail(Exit::config, "{}unknown key {}; did you mean {}?", where, name, nearest_word(name, names));
}

void apply(Recipe& recipe, const RecipeKey& k, const std::string& toml_value) {
  k.set(recipe, toml_value);
  if (k.name == "augment.preset") recipe.views = augment_recipe(recipe.augment);
}

}  // namespace

const std::vector<RecipeKey>& recipe_keys() {
  static const std::vector<RecipeKey> keys = make_keys();
  return keys;
}

Recipe parse_recipe(const std::string& text, const std::string& origin) {
  toml::table table;
  try {
    table = toml::parse(text, origin);
  } catch (const toml::parse_error& e) {
    fail(Exit::config, "{}:{}:{}: {}", origin, e.source().begin.line, e.source().begin.column,
         e.description());
  }
  Recipe recipe;
  auto where = [&](const toml::node& node) {
    return fmt::format("{}:{}:{}: ", origin, node.source().begin.line, node.source().begin.column);
  };
  auto apply_node = [&](const std::string& name, const toml::node& node) {
    const RecipeKey& k = find_key(name, where(node));
    std::ostringstream value;
    node.visit([&](const auto& n) { value << n; });
    try {
      apply(recipe, k, value.str());
    } catch (const Error& e) {
      fail(e.code(), "{}{}", where(node), e.what());
    }
  };
  if (const toml::node* preset = table.at_path("augment.preset").node())
    apply_node("augment.preset", *preset);
  for (const auto& [section, node] : table) {
    const std::string name(section.str());
    if (!node.is_table()) {
      find_key(name, where(node));
      fail(Exit::config, "{}{} must stand in a [section]", where(node), name);
    }
    for (const auto& [inner, value] : *node.as_table()) {
      const std::string full = name + "." + std::string(inner.str());
      if (full != "augment.preset") apply_node(full, value);
    }
  }
  return recipe;
}

Recipe read_recipe(const std::string& path) {
  std::ifstream in(path);
  if (!in) fail(Exit::config, "cannot read the recipe {}; tools/recipes holds examples", path);
  std::ostringstream text;
  text << in.rdbuf();
  return parse_recipe(text.str(), path);
}

void set_key(Recipe& recipe, const std::string& assignment) {
  const size_t equals = assignment.find('=');
  if (equals == std::string::npos) fail(Exit::usage, "--set {}: expected key=value", assignment);
  const RecipeKey& k = find_key(assignment.substr(0, equals), "--set: ");
  const std::string value = assignment.substr(equals + 1);
  const std::string now = k.get(recipe);
  const bool bare_string = now[0] == '"' || now[0] == '\'';
  const bool quoted = !value.empty() && (value[0] == '"' || value[0] == '\'');
  apply(recipe, k, bare_string && !quoted ? literal(value) : value);
}

std::string to_toml(const Recipe& recipe) {
  std::string out, section;
  for (const RecipeKey& k : recipe_keys()) {
    const size_t dot = k.name.find('.');
    if (k.name.substr(0, dot) != section) {
      section = k.name.substr(0, dot);
      out += fmt::format("{}[{}]\n", out.empty() ? "" : "\n", section);
    }
    out += fmt::format("{} = {}  # {}\n", k.name.substr(dot + 1), k.get(recipe), k.help);
  }
  return out;
}

}  // namespace stopgrad
