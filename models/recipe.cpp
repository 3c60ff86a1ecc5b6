#include "models/recipe.h"

#include <toml++/toml.h>

#include <filesystem>
#include <sstream>

#include "data/augmenter.h"
#include "data/nearest.h"
#include "engine/file.h"

namespace stopgrad {

namespace fs = std::filesystem;

namespace {

const RecipeKey& find_key(const std::string& name, const std::string& where) {
  std::vector<std::string> names;
  for (const RecipeKey& k : recipe_keys()) {
    if (k.name == name) return k;
    if (k.name.ends_with("." + name))
      fail(Exit::config, "{}unknown key {}; did you mean {}?", where, name, k.name);
    names.push_back(k.name);
  }
  fail(Exit::config, "{}unknown key {}; {}all keys: simsiam info --recipe", where, name,
       did_you_mean(name, names));
}

void apply(Recipe& recipe, const RecipeKey& k, const std::string& toml_value) {
  k.set(recipe, toml_value);
  if (k.name == "augment.preset") recipe.views = augment_recipe(recipe.augment);
}

}  // namespace

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
  constexpr uint64_t kMost = 1 << 20;
  if (fs::is_directory(path))
    fail(Exit::config, "the recipe {} is a folder; did you mean --data folder:{}?", path, path);
  if (!fs::is_regular_file(path))
    fail(Exit::config, "cannot read the recipe {}, which is no file; tools/recipes holds examples", path);
  return parse_recipe(read_file(path, kMost, Exit::config), path);
}

void set_key(Recipe& recipe, const std::string& assignment) {
  const size_t equals = assignment.find('=');
  if (equals == std::string::npos) fail(Exit::usage, "--set {}: expected key=value", assignment);
  const RecipeKey& k = find_key(assignment.substr(0, equals), "--set: ");
  const std::string value = assignment.substr(equals + 1);
  const std::string now = k.get(recipe);
  const bool bare_string = now[0] == '"' || now[0] == '\'';
  const bool quoted = !value.empty() && (value[0] == '"' || value[0] == '\'');
  apply(recipe, k, bare_string && !quoted ? toml_text(value) : value);
  if (k.name == "train.steps") recipe.epochs = 0;  // who names steps wants so many
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
