#include "tools/view/style.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

namespace stopgrad::view {
namespace {

struct Theme {
  const char *paper, *ink, *muted, *grid, *axis, *positive, *negative;
  std::array<const char*, styles> series;
};
constexpr Theme light{
    "#ffffff", "#1b2027", "#616a76", "#e9ecef",
    "#aab2bc", "#1d54a8", "#b4500c", {"#3038bd", "#e67105", "#308180", "#830071", "#0a93f5", "#483c10"}};
constexpr Theme dark{
    "#16191d", "#e8eaed", "#9aa4b0", "#282d33",
    "#566070", "#7fb4f8", "#f5a25d", {"#5b85f0", "#ec7500", "#94d795", "#eea6ff", "#f0f455", "#a9929e"}};
constexpr std::array<const char*, styles> dashes{"none",    "8 3",  "2.5 3",
                                                 "9 3 2 3", "14 4", "5 2 1.5 2 1.5 2"};

std::string theme_css(const Theme& t) {
  std::string css = fmt::format(
      ".chart .paper{{fill:{0}}}.chart text{{fill:{1}}}.chart .muted{{fill:{2}}}.chart "
      ".note{{fill:{2};stroke:{0}}}"
      ".chart .grid{{stroke:{3}}}.chart .axis{{stroke:{4}}}.chart .reference{{stroke:{2}}}"
      ".chart .gap{{stroke:{2}}}.chart .positive{{fill:{5}}}.chart .negative{{fill:{6}}}"
      ".chart .on{{fill:{0}}}.chart .stripe,.chart .halo{{stroke:{0}}}",
      t.paper, t.ink, t.muted, t.grid, t.axis, t.positive, t.negative);
  for (size_t i = 0; i < styles; ++i) css += fmt::format(".chart .s{}{{color:{}}}", i, t.series[i]);
  return css;
}

}  // namespace

std::string chart_css() {
  std::string css =
      ".chart text{font:12px system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif;"
      "font-variant-numeric:tabular-nums}"
      ".chart .title{font-size:15px;font-weight:600}.chart .small{font-size:11px}"
      ".chart .note{font-size:11px;stroke-width:4px;stroke-linejoin:round;paint-order:stroke}"
      ".chart .grid,.chart .axis,.chart .gap{stroke-width:1;fill:none}"
      ".chart .reference{stroke-width:1.2;stroke-dasharray:1 4;stroke-linecap:round}"
      ".chart .line{fill:none;stroke:currentColor;stroke-width:2;stroke-linejoin:round;stroke-linecap:butt}"
      ".chart .dense{fill:none;stroke:currentColor;stroke-width:1.4;stroke-linejoin:round}"
      ".chart .marks{fill:currentColor;stroke:currentColor;stroke-width:1.6;stroke-linejoin:round}"
      ".chart .halo{fill:none;stroke-width:3.8;stroke-linejoin:round}.chart "
      ".points{fill:currentColor;stroke:currentColor;stroke-width:.8;opacity:.72}"
      ".chart .bar{fill:currentColor}.chart .pale{fill:currentColor;fill-opacity:.22;stroke:currentColor;"
      "stroke-width:1.4}.chart .stripe{stroke-width:1.3}.chart "
      ".ownstripe{stroke:currentColor;stroke-width:1.1}"
      ".chart .leader{stroke:currentColor;stroke-width:1;opacity:.5}.chart "
      ".cells{shape-rendering:crispEdges}";
  for (size_t i = 0; i < styles; ++i)
    css += fmt::format(".chart .s{0} .line{{stroke-dasharray:{1}}}", i, dashes[i]);
  return css + theme_css(light) + "@media (prefers-color-scheme:dark){" + theme_css(dark) + "}";
}

std::string style_class(size_t index) { return fmt::format("s{}", index % styles); }

std::string marker(size_t index, double x, double y, double radius) {
  std::string path;
  const auto closed = [&](std::initializer_list<std::pair<double, double>> corners) {
    char command = 'M';
    for (auto [dx, dy] : corners)
      add_point(path, std::exchange(command, 'L'), x + dx * radius, y + dy * radius);
    path += 'z';
  };
  const auto stroke = [&](double dx, double dy) {
    add_point(path, 'M', x - dx * radius, y - dy * radius);
    add_point(path, 'L', x + dx * radius, y + dy * radius);
  };
  switch (index % styles) {
    case 0: {
      const std::string r = number(radius), d = number(2 * radius);
      add_point(path, 'M', x - radius, y);
      path += fmt::format("a{0} {0} 0 1 0 {1} 0a{0} {0} 0 1 0 -{1} 0z", r, d);
      break;
    }
    case 1:
      closed({{-.85, -.85}, {.85, -.85}, {.85, .85}, {-.85, .85}});
      break;
    case 2:
      closed({{0, -1.15}, {1.1, .8}, {-1.1, .8}});
      break;
    case 3:
      closed({{0, -1.25}, {1.25, 0}, {0, 1.25}, {-1.25, 0}});
      break;
    case 4:
      stroke(1.2, 0), stroke(0, 1.2);
      break;
    default:
      stroke(.95, .95), stroke(.95, -.95);
  }
  return path;
}

double text_width(std::string_view text, double font_size) {
  double ems = 0;
  for (unsigned char c : text) {
    if ((c & 0xc0) == 0x80) continue;  // counted with its first byte
    if (std::string_view(" .,:;|!'iIjl()[]").find(static_cast<char>(c)) != std::string_view::npos)
      ems += 0.36;
    else if (c == 'm' || c == 'w' || c == 'M' || c == 'W' || c == '@' || c == '%') ems += 0.95;
    else if (c >= 'A' && c <= 'Z') ems += 0.72;
    else if (c >= 0xe3) ems += 1;
    else ems += 0.58;
  }
  return ems * font_size;
}

double draw_title(Svg& svg, std::string_view title, double x, double width) {
  double y = 24;
  std::string current;
  const auto flush = [&] {
    if (current.empty()) return;
    svg.text("title", x, y, "start", current);
    y += 19;
    current.clear();
  };
  for (size_t begin = 0; begin < title.size();) {
    const size_t end = std::min(title.find(' ', begin), title.size());
    const std::string word(title.substr(begin, end - begin));
    if (!current.empty() && text_width(current + " " + word, title_size) > width) flush();
    if (!word.empty()) current += (current.empty() ? "" : " ") + word;
    begin = end + 1;
  }
  flush();
  return y - 8;
}

double sample_width(Sample sample) { return sample == Sample::points ? 10 : sample == Sample::bar ? 16 : 26; }

void draw_sample(Svg& svg, Sample sample, size_t index, double x, double y) {
  svg.open("g", {{"class", style_class(index)}});
  if (sample == Sample::bar) {
    draw_bar(svg, index, x, y - 5.5, sample_width(sample), 11);
  } else {
    if (sample != Sample::points)
      svg.line(sample == Sample::line ? "line" : "dense", x, y, x + sample_width(sample), y);
    svg.path("marks", marker(index, x + sample_width(sample) / 2, y));
  }
  svg.close();
}

double draw_legend(Svg& svg, const std::vector<LegendEntry>& entries, double x, double y, double width) {
  constexpr double gap = 16, line = 18;
  if (entries.empty()) return y;
  double name_at = 0, column = 0;
  for (const LegendEntry& e : entries) name_at = std::max(name_at, sample_width(e.sample) + 6);
  for (const LegendEntry& e : entries)
    column = std::max(column, name_at + text_width(e.name, text_size) + gap);
  const size_t columns = static_cast<size_t>(std::max(1.0, (width + gap) / column));
  for (size_t i = 0; i < entries.size(); ++i) {
    const double at = x + static_cast<double>(i % columns) * column,
                 base = y + 12 + static_cast<double>(i / columns) * line;
    draw_sample(svg, entries[i].sample, entries[i].index, at, base - 4);
    svg.text("label", at + name_at, base, "start", entries[i].name);
  }
  return y + 18 + static_cast<double>((entries.size() - 1) / columns) * line;
}

void draw_bar(Svg& svg, size_t index, double x, double y, double width, double height) {
  const size_t look = index % styles % 4;
  const bool pale = look == 1 || look == 3, striped = look >= 2;
  const double inset = pale ? 0.7 : 0;  // half the rim
  svg.element("rect", {{"class", pale ? "pale" : "bar"},
                       {"x", x + inset},
                       {"y", y + inset},
                       {"width", std::max(0.0, width - 2 * inset)},
                       {"height", std::max(0.0, height - 2 * inset)}});
  if (!striped) return;
  std::string stripes;
  for (double at = x + 6; at < x + width - 2; at += 7) {
    add_point(stripes, 'M', at, y + 2 * inset);
    stripes += fmt::format("V{}", number(y + height - 2 * inset));
  }
  svg.path(pale ? "ownstripe" : "stripe", stripes);
}

}  // namespace stopgrad::view
