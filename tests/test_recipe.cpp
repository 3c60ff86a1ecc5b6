// Recipes: what is written down, what is refused, and with which words.
#include <catch2/catch.hpp>

#include "kernels/cpu_features.h"
#include "models/run_folder.h"
#include "tests/small_run.h"

using namespace stopgrad;
using namespace stopgrad::test;

TEST_CASE("an automatic precision is decided once and written down", "[recipe]") {
  Recipe recipe = small_recipe();
  recipe.precision = "auto";
  const std::string expected = cpu::bf16_is_fast_here() ? "bf16" : "float32";
  Model model(recipe, {8, 8, 3});
  CHECK(model.recipe().precision == expected);
  CHECK(model.activations() == (expected == "bf16" ? DType::bf16 : DType::f32));
  Folder folder;
  Trainer trainer(model, small_set(), nullptr, folder.path);
  trainer.run({});
  CHECK(read_recipe(folder.path / "recipe.toml").precision == expected);
  CHECK(load_model(latest_checkpoint(folder.path), 1, "cpu")->activations() == DType::f32);
  recipe.projector_output_scale = 0.01;
  CHECK(Model(recipe, {8, 8, 3}).activations() == DType::f32);
}

TEST_CASE("a recipe survives the way to TOML and back", "[recipe]") {
  Recipe r = small_recipe();
  set_key(r, "augment.preset=cifar");
  set_key(r, "augment.scale=[0.3, 0.9]");
  set_key(r, "data.set=folder:a \"quoted\" name");
  set_key(r, "train.base_rate=1e-3");
  const std::string text = to_toml(r);
  CHECK(to_toml(parse_recipe(text, "again")) == text);
  CHECK_THAT(text, Catch::Contains("scale = [0.3, 0.9]") && Catch::Contains("base_rate = 0.001"));
}

TEST_CASE("the default recipe is the demo's, but for what makes its collapse quick", "[recipe]") {
  Recipe demo = read_recipe(STOPGRAD_SOURCE_DIR "/tools/recipes/fashion_mnist.toml");
  CHECK(demo.projector_output_scale == 0.001);
  CHECK(demo.warmup_epochs == 0.2);
  demo.projector_output_scale = demo.warmup_epochs = 0;
  CHECK(to_toml(Recipe{}) == to_toml(demo));
  Recipe preset;
  set_key(preset, "augment.preset=" + preset.augment);  // its values are those of the preset it names
  CHECK(to_toml(Recipe{}) == to_toml(preset));
}

TEST_CASE("recipe errors name file, line, key and the nearest known key", "[recipe]") {
  auto refused = [](const std::string& text, const std::string& part) {
    INFO(text);
    try {
      check_recipe(parse_recipe(text, "r.toml"));
      FAIL("accepted");
    } catch (const Error& e) {
      CHECK(e.code() == Exit::config);
      CHECK_THAT(e.what(), Catch::Contains(part));
    }
  };
  refused("[train]\nbatsh = 64", "r.toml:2");
  refused("[train]\nbatsh = 64", "train.batch");
  refused("[trian]\nbatch = 64", "train.batch");
  refused("batch = 64", "batch");
  refused("[train]\nbatch = \"64\"", "whole number");
  refused("[train]\nbatch = 1", "train.batch = 1");
  refused("[train]\nprecision = \"bf17\"", "bf16");
  refused("[train]\nbatch = ", "r.toml:2");
  refused("[net]\nblocks = [1, 1]", "net.blocks");
  refused("[augment]\nscale = [0.9, 0.2]", "augment.scale");
  refused("[augment]\nscale = [0.9]", "2 numbers");
  refused("[augment]\nratio = [1e-4, 1]", "augment.ratio");
  refused("[augment]\nratio = [1, 2000]", "augment.ratio");
  refused("[augment]\nblur_sigma = [1, 200]", "augment.blur_sigma");
  refused("[train]\nsteps = 0", "train.steps");
  refused("[projector]\noutput_scale = -1", "projector.output_scale = -1");
  refused("[projector]\noutput_scale = 0.1\noutput_norm = false", "projector.output_norm");
  refused("[projector]\noutput_scale = 0.1\n[train]\nprecision = \"bf16\"", "choose float32");
  const std::string moco = "[predictor]\nkind = \"none\"\n[method]\nname = \"moco\"\n";
  check_recipe(parse_recipe(moco, "r.toml"));
  refused(moco + "queue = 128", "puts 256 keys in it per step");
  check_recipe(parse_recipe(moco + "queue = 128\nsymmetry = \"asymmetric\"", "r.toml"));
  refused(moco + "symmetry = \"asymmetric_2x\"", "method.symmetry");
  refused(moco + "stop_gradient = false", "method.stop_gradient = false");
  refused(moco + "views = 3", "method.views = 3");
  refused(moco + "temperature = 0", "method.temperature");
  refused("[method]\nname = \"moco\"", "predictor.kind = learned: moco has no predictor");
  const std::string simclr = "[method]\nname = \"simclr\"\n";
  check_recipe(parse_recipe(simclr, "r.toml"));
  refused(simclr + "[predictor]\nkind = \"none\"", "set method.stop_gradient = false");
  check_recipe(parse_recipe(simclr + "stop_gradient = false\n[predictor]\nkind = \"none\"", "r.toml"));
  refused(simclr + "similarity = \"cross_entropy\"", "method.similarity");
  refused(simclr + "symmetry = \"asymmetric\"", "method.symmetry");
  Recipe r;
  CHECK_THROWS_WITH(set_key(r, "train.batch"), Catch::Contains("key=value"));
  CHECK_THROWS_WITH(set_key(r, "nonsense.key=1"),
                    Catch::Contains("nonsense.key") && !Catch::Contains("did you mean"));
  CHECK_THROWS_WITH(set_key(r, "batch=1"), Catch::Contains("did you mean train.batch?"));
  CHECK_THROWS_WITH(set_key(r, "net.backbone=vgg"), !Catch::Contains("did you mean"));
  r.epochs = 800;
  set_key(r, "train.steps=20");
  CHECK(r.epochs == 0);
  CHECK(r.steps == 20);
  const std::string folder = std::filesystem::temp_directory_path();
  CHECK_THROWS_WITH(read_recipe(folder), Catch::Contains("--data folder:" + folder));
  CHECK_THROWS_WITH(read_recipe("/dev/null"), Catch::Contains("no file"));
}

TEST_CASE("numbers that are not finite are refused for every key", "[recipe]") {
  int lists = 0, numbers = 0;
  for (const RecipeKey& key : recipe_keys()) {
    Recipe recipe;
    const std::string value = key.get(recipe);
    if (value.find('.') == std::string::npos || value[0] == '"' || value[0] == '\'') continue;  // no floats
    INFO(key.name);
    const bool list = value[0] == '[';
    const auto commas = static_cast<size_t>(std::count(value.begin(), value.end(), ','));
    ++(list ? lists : numbers);
    for (const std::string odd : {"nan", "inf", "-inf"}) {
      std::string text = odd;
      for (size_t k = 0; k < commas; ++k) text = "1, " + text;
      if (list) text = "[" + text + "]";
      CHECK_THROWS_WITH(set_key(recipe, key.name + "=" + text),
                        Catch::StartsWith(key.name + " = ") && Catch::Contains("finite"));
    }
  }
  CHECK(lists == 5);
  CHECK(numbers >= 17);
  Recipe recipe;
  CHECK_THROWS_WITH(set_key(recipe, "augment.std=[1e300, 1, 1]"), Catch::Contains("finite"));  // as a float
  CHECK_THROWS_WITH(parse_recipe("[monitor]\ncollapse_spread = nan", "r"),
                    Catch::Contains("r:2") && Catch::Contains("monitor.collapse_spread"));
}

TEST_CASE("a wrong recipe is told before a device is looked for", "[recipe]") {
  Recipe recipe = small_recipe();
  recipe.batch = 1;
  recipe.device = "cuda:99";
  try {
    Model(recipe, {8, 8, 3});
    FAIL("accepted");
  } catch (const Error& e) {
    CHECK(e.code() == Exit::config);
    CHECK_THAT(e.what(), Catch::Contains("train.batch = 1"));
  }
}
