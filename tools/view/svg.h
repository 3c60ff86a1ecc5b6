#pragma once
// Text of an SVG picture. The same input gives the same bytes on every machine and under every locale.
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

namespace stopgrad::view {

/// Text that may stand in XML content and in quoted attributes: & < > " ' become entities; control characters
/// and bytes that are no UTF-8 become U+FFFD.
std::string escape(std::string_view text);

/// At most `decimals` digits after the point, trailing zeros dropped, never "-0". Throws unless x is finite.
std::string number(double x, int decimals = 2);

/// One name="value"; the value is escaped when it is written.
struct Attribute {
  Attribute(std::string_view key, std::string_view text) : name(key), value(text) {}
  Attribute(std::string_view key, const char* text) : name(key), value(text) {}
  Attribute(std::string_view key, double x) : name(key), value(number(x)) {}

  std::string_view name;
  std::string value;
};
using Attributes = std::initializer_list<Attribute>;

/// A picture of width x height CSS pixels under construction, the origin at its top left.
class Svg {
 public:
  /// Title and description are what a screen reader says; the style sheet follows them.
  Svg(double width, double height, std::string_view title, std::string_view description);

  void open(std::string_view tag, Attributes attributes = {});
  void close();
  /// <tag attributes/>, or with content when `text` is not empty.
  void element(std::string_view tag, Attributes attributes, std::string_view text = {});

  void line(std::string_view style, double x1, double y1, double x2, double y2);
  void path(std::string_view style, std::string_view data);
  /// anchor: "start", "middle" or "end".
  void text(std::string_view style, double x, double y, std::string_view anchor, std::string_view content);

  /// Ends every open element. Throws when more were closed than opened.
  std::string finish();

 private:
  void begin(std::string_view tag, Attributes attributes);

  std::string out_;
  std::vector<std::string> open_;
};

/// "M1 2" and the like, appended to path data.
void add_point(std::string& path, char command, double x, double y);

}  // namespace stopgrad::view
