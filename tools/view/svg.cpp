#include "tools/view/svg.h"

#include <cmath>

#include "kernels/check.h"
#include "tools/view/style.h"

namespace stopgrad::view {
namespace {

// Length in bytes of the UTF-8 character that begins at text[i]; 0 when there is none that XML allows.
size_t character_length(std::string_view text, size_t i) {
  const auto byte = [&](size_t k) { return static_cast<unsigned char>(k < text.size() ? text[k] : 0); };
  const auto follows = [&](size_t k) { return (byte(k) & 0xc0) == 0x80; };
  const unsigned char a = byte(i), b = byte(i + 1);
  if (a < 0x80) return a >= 0x20 || a == '\t' || a == '\n' || a == '\r';
  if (a >= 0xc2 && a <= 0xdf) return follows(i + 1) ? 2 : 0;
  if (a >= 0xe0 && a <= 0xef) {
    const bool overlong = a == 0xe0 && b < 0xa0, surrogate = a == 0xed && b >= 0xa0;
    const bool no_character = a == 0xef && b == 0xbf && byte(i + 2) >= 0xbe;
    return follows(i + 1) && follows(i + 2) && !overlong && !surrogate && !no_character ? 3 : 0;
  }
  if (a >= 0xf0 && a <= 0xf4) {
    const bool outside = (a == 0xf0 && b < 0x90) || (a == 0xf4 && b >= 0x90);
    return follows(i + 1) && follows(i + 2) && follows(i + 3) && !outside ? 4 : 0;
  }
  return 0;
}

}  // namespace

std::string escape(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size();) {
    const size_t length = character_length(text, i);
    if (length == 0) out += "\xef\xbf\xbd";
    else if (text[i] == '&') out += "&amp;";
    else if (text[i] == '<') out += "&lt;";
    else if (text[i] == '>') out += "&gt;";
    else if (text[i] == '"') out += "&quot;";
    else if (text[i] == '\'') out += "&#39;";
    else out += text.substr(i, length);
    i += length == 0 ? 1 : length;
  }
  return out;
}

std::string number(double x, int decimals) {
  ENSURE(std::isfinite(x), "svg: {} is no number that can be written, leave the value out", x);
  std::string out = fmt::format("{:.{}f}", x, decimals);
  if (out.find('.') != std::string::npos) {
    out.erase(out.find_last_not_of('0') + 1);
    if (out.back() == '.') out.pop_back();
  }
  return out == "-0" ? "0" : out;
}

void add_point(std::string& path, char command, double x, double y) {
  path += command;
  path += number(x);
  path += ' ';
  path += number(y);
}

Svg::Svg(double width, double height, std::string_view title, std::string_view description) {
  const std::string box = "0 0 " + number(width) + " " + number(height);
  open("svg", {{"xmlns", "http://www.w3.org/2000/svg"},
               {"class", "chart"},
               {"role", "img"},
               {"aria-label", title},
               {"width", width},
               {"height", height},
               {"viewBox", box}});
  element("title", {}, title);
  element("desc", {}, description);
  out_ += fmt::format("<style>{}</style>\n", chart_css());
  element("rect", {{"class", "paper"}, {"width", width}, {"height", height}});
}

void Svg::begin(std::string_view tag, Attributes attributes) {
  out_ += fmt::format("<{}", tag);
  for (const Attribute& a : attributes) out_ += fmt::format(" {}=\"{}\"", a.name, escape(a.value));
}

void Svg::open(std::string_view tag, Attributes attributes) {
  begin(tag, attributes);
  out_ += ">\n";
  open_.emplace_back(tag);
}

void Svg::close() {
  ENSURE(!open_.empty(), "svg: close() without an open element");
  out_ += fmt::format("</{}>\n", open_.back());
  open_.pop_back();
}

void Svg::element(std::string_view tag, Attributes attributes, std::string_view text) {
  begin(tag, attributes);
  out_ += text.empty() ? std::string("/>\n") : fmt::format(">{}</{}>\n", escape(text), tag);
}

void Svg::line(std::string_view style, double x1, double y1, double x2, double y2) {
  element("line", {{"class", style}, {"x1", x1}, {"y1", y1}, {"x2", x2}, {"y2", y2}});
}

void Svg::path(std::string_view style, std::string_view data) {
  if (!data.empty()) element("path", {{"class", style}, {"d", data}});
}

void Svg::text(std::string_view style, double x, double y, std::string_view anchor,
               std::string_view content) {
  element("text", {{"class", style}, {"x", x}, {"y", y}, {"text-anchor", anchor}}, content);
}

std::string Svg::finish() {
  while (!open_.empty()) close();
  return std::move(out_);
}

}  // namespace stopgrad::view
