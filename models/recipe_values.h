#pragma once
// Values of a recipe as TOML text, and back. Another type than the key's is Error(Exit::config).
#include <toml++/toml.h>

#include <sstream>
#include <string>
#include <vector>

#include "kernels/check.h"

namespace stopgrad {

inline std::string literal(const std::string& s) {
  std::ostringstream out;
  out << toml::value<std::string>(s);
  return out.str();
}
inline std::string literal(bool b) { return b ? "true" : "false"; }
inline std::string literal(int64_t i) { return fmt::format("{}", i); }
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
inline std::string literal(const std::vector<int64_t>& v) { return list_literal(v.data(), v.size()); }

[[noreturn]] inline void wrong(const std::string& name, const char* wanted, const std::string& text) {
  fail(Exit::config, "{} = {}: expected {}", name, text, wanted);
}

inline void assign(std::string& to, const toml::node& node, const std::string& name,
                   const std::string& text) {
  if (const auto value = node.value<std::string>()) to = *value;
  else wrong(name, "a string in quotes", text);
}
inline void assign(bool& to, const toml::node& node, const std::string& name, const std::string& text) {
  if (node.is_boolean()) to = *node.value<bool>();
  else wrong(name, "true or false", text);
}
inline void assign(int64_t& to, const toml::node& node, const std::string& name, const std::string& text) {
  if (node.is_integer()) to = *node.value<int64_t>();
  else wrong(name, "a whole number", text);
}
template <class T>
requires std::is_floating_point_v<T>
void assign(T& to, const toml::node& node, const std::string& name, const std::string& text) {
  if (const auto value = node.value<double>(); value && node.is_number()) to = static_cast<T>(*value);
  else wrong(name, "a number", text);
}
inline void assign(std::vector<int64_t>& to, const toml::node& node, const std::string& name,
                   const std::string& text) {
  if (!node.is_array()) wrong(name, "a list of whole numbers", text);
  to.clear();
  for (const toml::node& item : *node.as_array()) assign(to.emplace_back(), item, name, text);
}

}  // namespace stopgrad
