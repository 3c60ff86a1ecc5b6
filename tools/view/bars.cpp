#include <algorithm>
#include <cmath>

#include "kernels/check.h"
#include "tools/view/chart.h"
#include "tools/view/style.h"

namespace stopgrad::view {
namespace {

constexpr double edge = 14, bar_height = 15, bar_gap = 3, group_gap = 14;

void check(const BarChart& chart) {
  ENSURE(!chart.x_high || (drawable(*chart.x_high) && *chart.x_high > 0),
         "chart '{}': the axis cannot end at {}, give a value above zero", chart.title, *chart.x_high);
  for (const Bars& s : chart.series)
    ENSURE(s.values.size() == chart.groups.size(), "chart '{}': series '{}' has {} values for {} groups",
           chart.title, s.name, s.values.size(), chart.groups.size());
}

Axis axis_of(const BarChart& chart) {
  std::vector<double> xs{0};
  for (const Bars& s : chart.series) xs.insert(xs.end(), s.values.begin(), s.values.end());
  for (const ReferenceLine& line : chart.lines) xs.push_back(line.y);
  if (chart.x_high) xs.push_back(*chart.x_high);
  Range range = range_of(xs);
  if (range.low < 0 && *std::min_element(xs.begin(), xs.end()) == 0) range = {0, 1};  // all zero
  return linear_axis(range, std::max(2, chart.width / 110), true);
}

// All values with as many decimals as give the largest three digits.
std::vector<std::string> value_labels(const BarChart& chart, size_t series) {
  double top = 0;
  for (const Bars& s : chart.series)
    for (double v : s.values)
      if (drawable(v)) top = std::max(top, std::abs(v));
  std::vector<std::string> out;
  const bool plain = top < 1e4 && top >= 1e-3;
  const int decimals = top >= 100 ? 0 : top >= 10 ? 1 : top >= 1 ? 2 : 3;
  for (double v : chart.series[series].values) {
    if (!drawable(v)) out.push_back(label_of(v));
    else
      out.push_back(plain ? (v < 0 ? "−" : "") + fmt::format("{:.{}f}", std::abs(v), decimals)
                          : label_of(v, 3));
  }
  return out;
}

std::string describe(const BarChart& chart) {
  std::string out = fmt::format("Bars of {}.", chart.x_label.empty() ? "values" : chart.x_label);
  for (size_t s = 0; s < chart.series.size(); ++s) {
    const std::vector<std::string> labels = value_labels(chart, s);
    for (size_t g = 0; g < chart.groups.size(); ++g)
      out += fmt::format(" {}{}{}: {}.", chart.groups[g], chart.series[s].name.empty() ? "" : ", ",
                         chart.series[s].name, labels[g]);
  }
  return out;
}

struct Place {
  double left, right, top, bottom, group;  // `group`: height of one group with the gap below it
  Axis x;

  double at(double value) const { return left + x.at(value) * (right - left); }
};

void draw_axis(Svg& svg, const BarChart& chart, const Place& p) {
  for (const Tick& t : p.x.ticks) {
    svg.line("grid", p.at(t.value), p.top, p.at(t.value), p.bottom);
    svg.text("muted", p.at(t.value), p.bottom + 17, "middle", t.label);
  }
  if (!chart.x_label.empty()) svg.text("muted small", p.right, p.bottom + 34, "end", chart.x_label);
}

void draw_bars(Svg& svg, const BarChart& chart, const Place& p) {
  for (size_t s = 0; s < chart.series.size(); ++s) {
    const std::vector<std::string> labels = value_labels(chart, s);
    svg.open("g", {{"class", style_class(s)}});
    for (size_t g = 0; g < chart.groups.size(); ++g) {
      const double y = p.top + group_gap / 2 + static_cast<double>(g) * p.group +
                       static_cast<double>(s) * (bar_height + bar_gap);
      const double value = chart.series[s].values[g], zero = p.at(0),
                   end = drawable(value) ? p.at(value) : zero;
      draw_bar(svg, s, std::min(zero, end), y, std::abs(end - zero), bar_height);
      const bool negative = value < 0;
      svg.text("note value", negative ? end - 5 : end + 5, y + bar_height - 4, negative ? "end" : "start",
               labels[g]);
    }
    svg.close();
  }
  svg.line("axis", p.at(0), p.top, p.at(0), p.bottom);
}

}  // namespace

std::string to_svg(const BarChart& chart) {
  check(chart);
  const double bars = static_cast<double>(std::max<size_t>(1, chart.series.size()));
  const double group = bars * (bar_height + bar_gap) - bar_gap + group_gap;
  double names = 0;
  for (const std::string& g : chart.groups) names = std::max(names, text_width(g, text_size));
  std::vector<LegendEntry> entries;
  for (size_t s = 0; s < chart.series.size(); ++s)
    if (!chart.series[s].name.empty()) entries.push_back({Sample::bar, s, chart.series[s].name});

  // The head is drawn twice, because the height of the picture follows from it.
  const auto head = [&](Svg& svg) {
    const double y = draw_title(svg, chart.title, edge, chart.width - 2 * edge);
    return draw_legend(svg, entries, edge, y + 4, chart.width - 2 * edge) + (chart.lines.empty() ? 6 : 20);
  };
  Svg trial(chart.width, 1, "", "");
  const double top = head(trial),
               bottom = top + std::max(1.0, static_cast<double>(chart.groups.size())) * group;
  Place p{edge + names + 10, chart.width - edge - 34, top, bottom, group, axis_of(chart)};
  if (p.x.low < 0) p.left += 40;  // for the values at the left
  ENSURE(p.right - p.left >= 40, "chart '{}': names of {} pixels leave no room for bars", chart.title, names);

  Svg svg(chart.width, bottom + (chart.x_label.empty() ? 28 : 44), chart.title, describe(chart));
  head(svg);
  draw_axis(svg, chart, p);
  for (size_t g = 0; g < chart.groups.size(); ++g)
    svg.text("label", edge + names, top + (static_cast<double>(g) + 0.5) * group + 4, "end", chart.groups[g]);
  draw_bars(svg, chart, p);
  for (const ReferenceLine& line : chart.lines) {
    if (!drawable(line.y)) continue;
    svg.line("reference", p.at(line.y), top, p.at(line.y), bottom);
    svg.text("note", p.at(line.y), top - 5, "middle", line.label);
  }
  if (chart.groups.empty() || chart.series.empty())
    svg.text("muted", (p.left + p.right) / 2, (top + bottom) / 2 + 4, "middle", "no values");
  return svg.finish();
}

}  // namespace stopgrad::view
