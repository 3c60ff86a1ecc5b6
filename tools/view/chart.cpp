#include "tools/view/chart.h"

#include <algorithm>
#include <cmath>

#include "kernels/check.h"
#include "tools/view/trace.h"

namespace stopgrad::view {
namespace {

constexpr double edge = 14, label_gap = 8, label_height = 16;

void check(const Chart& chart) {
  for (const Series& s : chart.series)
    ENSURE(s.x.empty() || s.x.size() == s.y.size(), "chart '{}': series '{}' has {} x and {} y", chart.title,
           s.name, s.x.size(), s.y.size());
  if (!chart.y_range) return;
  const Range r = *chart.y_range;
  ENSURE(drawable(r.low, chart.log_y) && drawable(r.high, chart.log_y) && r.low < r.high,
         "chart '{}': the y range from {} to {} cannot be drawn", chart.title, r.low, r.high);
}

Axis x_axis(const Chart& chart) {
  std::vector<double> xs;
  bool scatter = false;
  for (const Series& s : chart.series) {
    scatter = scatter || s.points;
    for (size_t i = 0; i < s.y.size(); ++i)
      if (drawable(s.y[i], chart.log_y)) xs.push_back(x_of(s, i));
  }
  const bool whole = std::all_of(xs.begin(), xs.end(), [](double v) { return v == std::floor(v); });
  return linear_axis(range_of(xs), std::max(2, chart.width / 90), scatter, whole);
}

Axis y_axis(const Chart& chart) {
  const int wanted = std::max(2, chart.height / 60);
  if (chart.y_range)
    return chart.log_y ? log_axis(*chart.y_range, wanted) : linear_axis(*chart.y_range, wanted, false);
  std::vector<double> ys;
  for (const Series& s : chart.series)
    for (size_t i = 0; i < s.y.size(); ++i)
      if (drawable(x_of(s, i))) ys.push_back(s.y[i]);
  for (const ReferenceLine& line : chart.lines) ys.push_back(line.y);
  const Range range = range_of(ys, chart.log_y);
  if (!chart.log_y) return linear_axis(range, wanted, true);
  const double air = std::pow(10, 0.04 * (std::log10(range.high) - std::log10(range.low)));
  return log_axis({range.low / air, range.high * air}, wanted);
}

struct EndLabel {
  const Trace* trace;
  double y;
};

// Moves sorted labels apart by the least sum of squares: names that would touch become a block around their
// mean.
void spread(std::vector<EndLabel>& labels, const Box& box) {
  struct Block {
    double top;  // of its first label
    size_t count;
  };
  std::vector<Block> blocks;
  for (const EndLabel& l : labels) {
    blocks.push_back({l.y, 1});
    while (blocks.size() > 1) {
      Block &upper = blocks[blocks.size() - 2], lower = blocks.back();
      const double m = static_cast<double>(upper.count), n = static_cast<double>(lower.count);
      if (lower.top >= upper.top + m * label_height) break;
      upper = {(m * upper.top + n * (lower.top - m * label_height)) / (m + n), upper.count + lower.count};
      blocks.pop_back();
    }
  }
  size_t i = 0;
  for (const Block& b : blocks)
    for (size_t k = 0; k < b.count; ++k, ++i) {
      const double above = static_cast<double>(i), below = static_cast<double>(labels.size() - 1 - i);
      labels[i].y = std::clamp(b.top + static_cast<double>(k) * label_height, box.top + above * label_height,
                               box.bottom - below * label_height);
    }
}

// Names beside the line ends, moved apart; none when they do not fit or would mislead.
std::vector<EndLabel> end_labels(const std::vector<Trace>& traces, const Box& box) {
  std::vector<EndLabel> labels;
  for (const Trace& t : traces) {
    if (t.series->name.empty()) continue;
    const std::optional<Point> end = t.last();
    if (!end || t.series->points || end->x < box.right - 0.12 * box.width()) return {};
    labels.push_back({&t, std::clamp(end->y, box.top, box.bottom)});
  }
  if (static_cast<double>(labels.size()) * label_height > box.height() + label_height) return {};
  std::stable_sort(labels.begin(), labels.end(), [](auto& a, auto& b) { return a.y < b.y; });
  spread(labels, box);
  return labels;
}

void draw_end_labels(Svg& svg, const std::vector<EndLabel>& labels, const Box& box) {
  for (const EndLabel& l : labels) {
    const Point end = *l.trace->last();
    svg.open("g", {{"class", style_class(l.trace->index)}});
    svg.line("leader", end.x + 6, std::clamp(end.y, box.top, box.bottom), box.right + 14, l.y);
    svg.close();
    svg.text("label", box.right + 18, l.y + 4, "start", l.trace->series->name);
  }
}

void draw_axes(Svg& svg, const Chart& chart, const Frame& f, double y_label_at) {
  for (const Tick& t : f.y.ticks) {
    const double y = f.at(f.x.low, t.value).y;
    svg.line(t.value == 0 ? "axis" : "grid", f.box.left, y, f.box.right, y);
    svg.text("muted", f.box.left - label_gap, y + 4, "end", t.label);
  }
  svg.line("axis", f.box.left, f.box.bottom, f.box.right, f.box.bottom);
  for (const Tick& t : f.x.ticks) {
    const double x = f.at(t.value, f.y.low).x;
    svg.line("axis", x, f.box.bottom, x, f.box.bottom + 4);
    svg.text("muted", x, f.box.bottom + 18, "middle", t.label);
  }
  if (!chart.y_label.empty()) svg.text("muted small", edge, y_label_at, "start", chart.y_label);
  if (!chart.x_label.empty()) svg.text("muted small", f.box.right, f.box.bottom + 35, "end", chart.x_label);
}

size_t points_in(const std::vector<Trace>& traces, const Box& box) {
  size_t count = 0;
  for (const Trace& t : traces)
    for (const auto& run : t.runs)
      for (const Point& p : run)
        count += p.x >= box.left && p.x <= box.right && p.y >= box.top && p.y <= box.bottom;
  return count;
}

// The label stands above or below its line, right or left, where the fewest points are in the way.
void draw_reference(Svg& svg, const ReferenceLine& line, const std::vector<Trace>& traces, const Frame& f) {
  if (!drawable(line.y, f.y.log) || line.y < f.y.low || line.y > f.y.high) return;
  const double y = f.at(f.x.low, line.y).y, width = text_width(line.label, 11) + 8;
  svg.line("reference", f.box.left, y, f.box.right, y);
  if (line.label.empty()) return;
  size_t fewest = SIZE_MAX;
  double best_base = y - 6;
  bool best_right = true;
  for (const bool right : {true, false})
    for (const double base : {y - 6, y + 14}) {
      if (base - 11 < f.box.top - 8 || base > f.box.bottom - 2) continue;
      const double left = right ? f.box.right - width : f.box.left;
      const size_t count = points_in(traces, {left - 4, base - 15, left + width + 4, base + 7});
      if (count < fewest) fewest = count, best_base = base, best_right = right;
    }
  const double x = best_right ? f.box.right - 4 : f.box.left + 4;
  svg.text("note", x, best_base, best_right ? "end" : "start", line.label);
}

std::string describe(const Chart& chart) {
  std::string out = fmt::format("{} against {}.", chart.y_label.empty() ? "Values" : chart.y_label,
                                chart.x_label.empty() ? "their position" : chart.x_label);
  for (const Series& s : chart.series) {
    std::vector<double> seen;
    for (double y : s.y)
      if (drawable(y, chart.log_y)) seen.push_back(y);
    out += fmt::format(" {}: {} of {} points", s.name.empty() ? "Series" : s.name, seen.size(), s.y.size());
    if (!seen.empty())
      out += fmt::format(", first {}, last {}, smallest {}, largest {}", label_of(seen.front()),
                         label_of(seen.back()), label_of(*std::min_element(seen.begin(), seen.end())),
                         label_of(*std::max_element(seen.begin(), seen.end())));
    out += '.';
  }
  for (const ReferenceLine& l : chart.lines) out += fmt::format(" Line at {}: {}.", label_of(l.y), l.label);
  return out;
}

std::vector<Trace> traces_of(const Chart& chart, const Frame& frame) {
  std::vector<Trace> out;
  for (size_t i = 0; i < chart.series.size(); ++i) out.push_back(trace_of(chart, i, frame));
  return out;
}

double widest(const std::vector<std::string>& texts) {
  double width = 0;
  for (const std::string& t : texts) width = std::max(width, text_width(t, text_size));
  return width;
}

// What stands in the picture, decided before anything is drawn.
struct Layout {
  Frame frame;
  std::vector<Trace> traces;
  std::vector<EndLabel> labels;  // empty: a legend instead
  double y_label_at;
};

std::vector<LegendEntry> legend_of(const Layout& layout) {
  std::vector<LegendEntry> entries;
  for (const Trace& t : layout.traces)
    if (!t.series->name.empty()) entries.push_back({sample_of(t, layout.frame.box), t.index, t.series->name});
  return entries;
}

// First with room for names at the right; without it, and with a legend, when they do not fit.
Layout draw_head(Svg& svg, const Chart& chart) {
  Layout l{{{}, x_axis(chart), y_axis(chart)}, {}, {}, 0};
  Box& box = l.frame.box;
  std::vector<std::string> ticks, names;
  for (const Tick& t : l.frame.y.ticks) ticks.push_back(t.label);
  for (const Series& s : chart.series) names.push_back(s.name);
  const double last_tick =
      l.frame.x.ticks.empty() ? 0 : text_width(l.frame.x.ticks.back().label, text_size) / 2;
  const double below_title = draw_title(svg, chart.title, edge, chart.width - 2 * edge);
  const double y_label_height = chart.y_label.empty() ? 0 : 20;
  const double right = chart.width - std::max(edge, last_tick + 2), names_width = widest(names) + 22;
  box = {edge + widest(ticks) + label_gap, below_title + y_label_height + 10, right,
         chart.height - (chart.x_label.empty() ? 28.0 : 45.0)};

  if (names_width < 0.3 * chart.width) {
    box.right = chart.width - edge - names_width;
    l.traces = traces_of(chart, l.frame);
    l.labels = end_labels(l.traces, box);
  }
  if (l.labels.empty()) {
    box.right = right;
    l.traces = traces_of(chart, l.frame);
    box.top =
        draw_legend(svg, legend_of(l), edge, below_title + 4, chart.width - 2 * edge) + y_label_height + 8;
    l.traces = traces_of(chart, l.frame);
  }
  l.y_label_at = box.top - 15;
  return l;
}

}  // namespace

std::string to_svg(const Chart& chart) {
  check(chart);
  Svg svg(chart.width, chart.height, chart.title, describe(chart));
  const Layout l = draw_head(svg, chart);
  const Box& box = l.frame.box;
  ENSURE(box.width() >= 40 && box.height() >= 40, "chart '{}': {} x {} pixels leave no room for the plot",
         chart.title, chart.width, chart.height);
  draw_axes(svg, chart, l.frame, l.y_label_at);

  // A nested picture cuts off what leaves the plot; half a marker may stand over the rim.
  const double rim = 5, left = box.left - rim, top = box.top - rim;
  const double width = box.width() + 2 * rim, height = box.height() + 2 * rim;
  const std::string view =
      fmt::format("{} {} {} {}", number(left), number(top), number(width), number(height));
  svg.open("svg", {{"x", left}, {"y", top}, {"width", width}, {"height", height}, {"viewBox", view}});
  for (const Trace& t : l.traces) draw_trace(svg, t, l.frame);
  svg.close();

  for (const ReferenceLine& line : chart.lines) draw_reference(svg, line, l.traces, l.frame);
  draw_end_labels(svg, l.labels, box);
  const bool empty =
      std::all_of(l.traces.begin(), l.traces.end(), [](const Trace& t) { return t.count == 0; });
  if (empty) svg.text("muted", (box.left + box.right) / 2, (box.top + box.bottom) / 2, "middle", "no values");
  return svg.finish();
}

}  // namespace stopgrad::view
