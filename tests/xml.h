#pragma once
// Whether a text is well-formed XML: elements, attributes, the five entities; no comments, no CDATA.
#include <cctype>
#include <set>
#include <string>
#include <string_view>

namespace stopgrad::test {

// Reads on from `at`; the first thing wrong stays in `error`.
struct Xml {
  std::string_view text;
  size_t at = 0;
  int elements = 0;
  std::string error;

  bool take(std::string_view token) {
    if (text.substr(at, token.size()) != token) return false;
    at += token.size();
    return true;
  }
  bool fail(const std::string& why) {
    if (error.empty()) error = why + " at byte " + std::to_string(at);
    return false;
  }
  std::string name() {
    const size_t begin = at;
    while (at < text.size() && (std::isalnum(static_cast<unsigned char>(text[at])) || text[at] == '-')) ++at;
    return std::string(text.substr(begin, at - begin));
  }
  void space() {
    while (at < text.size() && (text[at] == ' ' || text[at] == '\n')) ++at;
  }
  // Characters up to `end`: no '<', known entities only, no control characters.
  bool characters(char end) {
    for (; at < text.size() && text[at] != end; ++at) {
      if (text[at] == '<') return fail("'<' in text");
      if (static_cast<unsigned char>(text[at]) < 0x20 && text[at] != '\n') return fail("control character");
      if (text[at] != '&') continue;
      const std::string_view entity = text.substr(at, text.substr(at).find(';') + 1);
      if (!std::set<std::string_view>{"&amp;", "&lt;", "&gt;", "&quot;", "&#39;"}.count(entity))
        return fail("entity");
    }
    return at < text.size() || fail("end of text");
  }
  bool element() {
    if (!take("<")) return fail("no tag");
    const std::string tag = name();
    if (tag.empty()) return fail("tag without a name");
    ++elements;
    std::set<std::string> seen;
    for (space(); at < text.size() && text[at] != '>' && text[at] != '/'; space()) {
      const std::string key = name();
      if (key.empty() || !seen.insert(key).second) return fail("attribute '" + key + "'");
      if (!take("=\"") || !characters('"') || !take("\"")) return fail("value of " + key);
    }
    if (take("/>")) return true;
    if (!take(">")) return fail("end of tag " + tag);
    while (characters('<') && text.substr(at, 2) != "</")
      if (!element()) return false;
    return (error.empty() && take("</" + tag + ">")) || fail("end of " + tag);
  }
};

/// Empty when it is. A page may begin with the doctype of HTML.
inline std::string xml_error(std::string_view text) {
  Xml xml{text, 0, 0, ""};
  xml.take("<!DOCTYPE html>\n");
  if (!xml.element()) return xml.error;
  xml.space();
  return xml.at == text.size() ? "" : "text after the root";
}

}  // namespace stopgrad::test
