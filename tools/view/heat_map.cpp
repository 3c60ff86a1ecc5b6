#include <algorithm>
#include <array>
#include <cmath>

#include "kernels/check.h"
#include "tools/view/chart.h"
#include "tools/view/style.h"

namespace stopgrad::view {
namespace {

constexpr double edge = 14, scale_width = 12;
constexpr int levels = 40;  // shades on either side of zero

void check(const HeatMap& map) {
  ENSURE(map.values.size() == map.rows * map.columns, "heat map '{}': {} values for {} x {}", map.title,
         map.values.size(), map.rows, map.columns);
  ENSURE(map.row_names.empty() || map.row_names.size() == map.rows, "heat map '{}': {} names for {} rows",
         map.title, map.row_names.size(), map.rows);
  ENSURE(map.column_names.empty() || map.column_names.size() == map.columns,
         "heat map '{}': {} names for {} columns", map.title, map.column_names.size(), map.columns);
  ENSURE(!map.limit || (drawable(*map.limit) && *map.limit > 0),
         "heat map '{}': the limit must be above zero", map.title);
}

// Magnitude of the full colour.
double limit_of(const HeatMap& map) {
  if (map.limit) return *map.limit;
  double top = 0;
  for (double v : map.values)
    if (drawable(v)) top = std::max(top, std::abs(v));
  return top > 0 ? top : 1;
}

int level_of(double value, double limit) {
  return static_cast<int>(std::lround(std::clamp(value / limit, -1.0, 1.0) * levels));
}

void draw_shade(Svg& svg, int level, const std::string& path) {
  if (path.empty() || level == 0) return;
  svg.element("path", {{"class", level > 0 ? "positive" : "negative"},
                       {"fill-opacity", std::abs(level) / static_cast<double>(levels)},
                       {"d", path}});
}

struct Grid {
  double left, top, cell_width, cell_height;

  double x(size_t column) const { return left + static_cast<double>(column) * cell_width; }
  double y(size_t row) const { return top + static_cast<double>(row) * cell_height; }
};

// One path for each shade; neighbours of one shade in a row are one rectangle. Gaps are crossed out.
void draw_cells(Svg& svg, const HeatMap& map, const Grid& g, double limit) {
  std::array<std::string, 2 * levels + 1> shades;
  std::string gaps;
  for (size_t r = 0; r < map.rows; ++r)
    for (size_t c = 0, end; c < map.columns; c = end) {
      const double value = map.values[r * map.columns + c];
      end = c + 1;
      if (!drawable(value)) {
        const double inset = std::min(3.0, g.cell_width / 5);
        add_point(gaps, 'M', g.x(c) + inset, g.y(r) + inset);
        add_point(gaps, 'L', g.x(end) - inset, g.y(r + 1) - inset);
        add_point(gaps, 'M', g.x(end) - inset, g.y(r) + inset);
        add_point(gaps, 'L', g.x(c) + inset, g.y(r + 1) - inset);
        continue;
      }
      const int level = level_of(value, limit);
      const auto same = [&](double v) { return drawable(v) && level_of(v, limit) == level; };
      while (end < map.columns && same(map.values[r * map.columns + end])) ++end;
      std::string& path = shades[static_cast<size_t>(level + levels)];
      add_point(path, 'M', g.x(c), g.y(r));
      path += fmt::format("H{}V{}H{}z", number(g.x(end)), number(g.y(r + 1)), number(g.x(c)));
    }
  svg.open("g", {{"class", "cells"}});
  for (int level = -levels; level <= levels; ++level)
    draw_shade(svg, level, shades[static_cast<size_t>(level + levels)]);
  svg.close();
  svg.path("gap", gaps);
}

void draw_numbers(Svg& svg, const HeatMap& map, const Grid& g, double limit) {
  for (size_t r = 0; r < map.rows; ++r)
    for (size_t c = 0; c < map.columns; ++c) {
      const double value = map.values[r * map.columns + c];
      if (!drawable(value)) continue;
      const bool strong = std::abs(level_of(value, limit)) > levels * 6 / 10;
      svg.text(strong ? "small on" : "small", g.x(c) + g.cell_width / 2, g.y(r) + g.cell_height / 2 + 4,
               "middle", label_of(value, 2));
    }
}

// Every name where they fit, else every second, fifth, tenth, ...
void draw_names(Svg& svg, const HeatMap& map, const Grid& g) {
  const auto name = [](const std::vector<std::string>& names, size_t i) {
    return names.empty() ? std::to_string(i) : names[i];
  };
  double widest = 0;
  for (size_t c = 0; c < map.columns; ++c)
    widest = std::max(widest, text_width(name(map.column_names, c), 11));
  const auto stride = [](double needed, double cell) {
    for (size_t power = 1;; power *= 10)
      for (size_t m : {1, 2, 5})
        if (static_cast<double>(m * power) * cell >= needed) return m * power;
  };
  const size_t row_stride = stride(14, g.cell_height), column_stride = stride(widest + 8, g.cell_width);
  for (size_t r = 0; r < map.rows; r += row_stride)
    svg.text("muted small", g.left - 6, g.y(r) + g.cell_height / 2 + 4, "end", name(map.row_names, r));
  for (size_t c = 0; c < map.columns; c += column_stride)
    svg.text("muted small", g.x(c) + g.cell_width / 2, g.y(map.rows) + 14, "middle",
             name(map.column_names, c));
}

void draw_scale(Svg& svg, double x, double top, double height, double limit) {
  const double step = height / (2 * levels + 1), right = x + scale_width;
  const auto edge_of = [&](int level) { return std::round(top + (levels - level) * step); };
  svg.open("g", {{"class", "cells"}});
  for (int level = -levels; level <= levels; ++level) {
    std::string path;
    add_point(path, 'M', x, edge_of(level));
    path += fmt::format("H{}V{}H{}z", number(right), number(edge_of(level - 1)), number(x));
    draw_shade(svg, level, path);
  }
  svg.close();
  svg.element("rect", {{"class", "axis"}, {"x", x}, {"y", top}, {"width", scale_width}, {"height", height}});
  const double middle = top + height / 2;
  for (auto [value, y] : {std::pair{limit, top + step / 2}, {0.0, middle}, {-limit, top + height - step / 2}})
    svg.text("muted small", x + scale_width + 6, y + 4, "start", label_of(value, 3));
}

std::string describe(const HeatMap& map) {
  std::string out = fmt::format("Matrix of {} rows and {} columns.", map.rows, map.columns);
  out += fmt::format(" Full colour at a magnitude of {}.", label_of(limit_of(map)));
  const auto gaps =
      std::count_if(map.values.begin(), map.values.end(), [](double v) { return !drawable(v); });
  if (gaps) out += fmt::format(" {} cells hold no number.", gaps);
  return out;
}

}  // namespace

std::string to_svg(const HeatMap& map) {
  check(map);
  const double limit = limit_of(map);
  double names = text_width(std::to_string(map.rows), 11);
  for (const std::string& n : map.row_names) names = std::max(names, text_width(n, 11));
  Svg trial(1, 1, "", "");
  const double below = draw_title(trial, map.title, edge, map.width - 2 * edge);
  const double left = std::ceil(edge + names + 6), top = below + (map.y_label.empty() ? 8 : 26);
  const double right = map.width - edge - scale_width - 6 - text_width(label_of(-limit, 3), 11);
  const double room = right - 14 - left, columns = static_cast<double>(std::max<size_t>(1, map.columns));
  ENSURE(room >= 40, "heat map '{}': {} pixels leave no room for the cells", map.title, map.width);
  // Whole pixels where there are enough, so that cells stay equal.
  const double exact = std::min(room / columns, 48.0), cell = exact >= 2 ? std::floor(exact) : exact;
  const Grid g{left, top, cell, cell};
  const double height = cell * static_cast<double>(std::max<size_t>(1, map.rows));

  // No empty paper beside a small matrix, unless the title needs it.
  const double content = g.x(map.columns) + 14 + map.width - right,
               title = text_width(map.title, title_size) + 2 * edge;
  const double width = std::min<double>(map.width, std::ceil(std::max(content, title)));

  Svg svg(width, top + height + (map.x_label.empty() ? 26 : 40), map.title, describe(map));
  draw_title(svg, map.title, edge, map.width - 2 * edge);
  if (!map.y_label.empty()) svg.text("muted small", edge, top - 10, "start", map.y_label);
  if (!map.x_label.empty()) svg.text("muted small", g.x(map.columns), top + height + 32, "end", map.x_label);
  draw_cells(svg, map, g, limit);
  svg.element("rect",
              {{"class", "axis"}, {"x", left}, {"y", top}, {"width", cell * columns}, {"height", height}});
  if (cell >= 34) draw_numbers(svg, map, g, limit);
  draw_names(svg, map, g);
  draw_scale(svg, g.x(map.columns) + 14, top, std::max(60.0, height), limit);
  return svg.finish();
}

}  // namespace stopgrad::view
