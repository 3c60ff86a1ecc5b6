
#include "tools/commands/commands.h"

namespace stopgrad::tools {

void RecipeOptions::add_to(CommandLine& line) {
  line.option("recipe", &file, "TOML recipe; without one the defaults (simsiam info --recipe prints them)");
  line.option("--data", &data, "data set: fashion_mnist, cifar10:DIR, folder:DIR, synthetic, ... (data.set)");
  line.option("--device", &device, "auto, cpu, cuda or cuda:N (train.device)");
  line.option("--precision", &precision, "auto, float32 (or fp32), tf32 or bf16 (train.precision)",
              {.choices = {"auto", "float32", "fp32", "tf32", "bf16"}});
  line.option("--set", &sets, "key=value on top of the recipe, e.g. --set train.batch=64");
}

Recipe RecipeOptions::load(const Recipe& without_file) const {
  Recipe recipe = file.empty() ? without_file : read_recipe(file);
  if (!data.empty()) recipe.data = data;
  if (!device.empty()) recipe.device = device;
  if (!precision.empty()) recipe.precision = precision == "fp32" ? "float32" : precision;
  for (const std::string& s : sets) set_key(recipe, s);
  check_recipe(recipe);
  return recipe;
}

std::string clock_text(double seconds) {
  const auto s = static_cast<int64_t>(seconds + 0.5);
  if (s >= 3600) return fmt::format("{}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60);
  return fmt::format("{}:{:02}", s / 60, s % 60);
}

}  // namespace stopgrad::tools
