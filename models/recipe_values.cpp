// Values of a recipe as TOML text, and back.
#include <toml++/toml.h>

#include <cmath>
#include <sstream>

#include "data/nearest.h"
#include "models/recipe.h"

namespace stopgrad {

namespace {

std::string literal(const std::string* s) { return toml_text(*s); }
std::string literal(const bool* b) { return *b ? "true" : "false"; }
std::string literal(const int64_t* i) { return fmt::format("{}", *i); }
template <class T>
requires std::is_floating_point_v<T> std::string literal(const T* x) {
  const std::string s = fmt::format("{}", *x);  // shortest text that reads back the same
  return s.find_first_of(".en") == std::string::npos ? s + ".0" : s;
}
std::string literal(const std::vector<int64_t>* list) { return fmt::format("[{}]", fmt::join(*list, ", ")); }
std::string literal(const std::vector<float*>& list) {
  std::string out;
  for (const float* x : list) out += (out.empty() ? "" : ", ") + literal(x);
  return "[" + out + "]";
}

/// A value, and how it is named where it is not what its key wants.
struct Given {
  const toml::node& node;
  const std::string &name, &text;
  [[noreturn]] void refuse(const std::string& wanted) const {
    fail(Exit::config, "{} = {}: expected {}", name, text, wanted);
  }
};

void assign(std::string* to, const Given& given) {
  if (!given.node.is_string()) given.refuse("a string in quotes");
  *to = *given.node.value<std::string>();
}
void assign(bool* to, const Given& given) {
  if (!given.node.is_boolean()) given.refuse("true or false");
  *to = *given.node.value<bool>();
}
void assign(int64_t* to, const Given& given) {
  if (!given.node.is_integer()) given.refuse("a whole number");
  *to = *given.node.value<int64_t>();
}
template <class T>
requires std::is_floating_point_v<T>
void assign(T* to, const Given& given) {
  if (!given.node.is_number()) given.refuse("a number");
  *to = static_cast<T>(*given.node.value<double>());
  if (!std::isfinite(*to)) given.refuse("a number that is finite");
}
void assign(std::vector<int64_t>* to, const Given& given) {
  if (!given.node.is_array()) given.refuse("a list of whole numbers");
  to->clear();
  for (const toml::node& item : *given.node.as_array())
    assign(&to->emplace_back(), {item, given.name, given.text});
}
void assign(const std::vector<float*>& to, const Given& given) {
  const toml::array* list = given.node.as_array();
  if (!list || list->size() != to.size()) given.refuse(fmt::format("a list of {} numbers", to.size()));
  for (size_t i = 0; i < to.size(); ++i) assign(to[i], {*list->get(i), given.name, given.text});
}

/// A TOML value as a node of its own; the table keeps it alive.
toml::table parse_value(const std::string& name, const std::string& text) {
  try {
    return toml::parse("value = " + text);
  } catch (const toml::parse_error& e) {
    fail(Exit::config, "{} = {}: {}", name, text, e.description());
  }
}

}  // namespace

std::string toml_text(const std::string& s) {
  std::ostringstream out;
  out << toml::value<std::string>(s);
  return out.str();
}

std::string RecipeKey::get(const Recipe& recipe) const {
  return std::visit([](const auto& place) { return literal(place); }, at(const_cast<Recipe&>(recipe)));
}

void RecipeKey::set(Recipe& recipe, const std::string& text) const {
  const toml::table table = parse_value(name, text);
  const RecipeValue place = at(recipe);
  std::visit([&](const auto& to) { assign(to, {*table.get("value"), name, text}); }, place);
  if (choices.empty()) return;
  const std::string& chosen = *std::get<std::string*>(place);
  if (std::find(choices.begin(), choices.end(), chosen) == choices.end())
    fail(Exit::config, "{} = {}: {}possible: {}", name, text, did_you_mean(chosen, choices),
         fmt::join(choices, ", "));
}

}  // namespace stopgrad
