#include "tools/view/trace.h"

#include <algorithm>
#include <cmath>
#include <set>

namespace stopgrad::view {
namespace {

bool inside(Point p, const Box& box) { return p.y >= box.top - 1 && p.y <= box.bottom + 1; }

// Markers at every point while they stay apart, else a few along the way, shifted from series to series; of
// one series alone only at the end.
std::string line_marks(const Trace& trace, const Box& box) {
  const bool crowded = static_cast<double>(trace.count) > box.width() / 16;
  const double spacing = !crowded ? 9 : trace.only ? 1e9 : 96;
  double next = box.left;
  if (crowded) next += trace.only ? spacing : 16.0 * static_cast<double>(trace.index % styles + 1);
  std::string path;
  for (const std::vector<Point>& run : trace.runs)
    for (const Point& p : run) {
      const bool alone = run.size() == 1, end = &p == &trace.runs.back().back();
      const bool due = p.x >= next && trace.last()->x - p.x > spacing / 4;
      if (!inside(p, box) || !(alone || end || due)) continue;
      path += marker(trace.index, p.x, p.y);
      next = p.x + spacing;
    }
  return path;
}

std::string line_path(const Trace& trace) {
  std::string path;
  for (const std::vector<Point>& run : trace.runs) {
    if (run.size() == 1) continue;  // its marker shows it
    for (size_t i = 0; i < run.size(); ++i) add_point(path, i == 0 ? 'M' : 'L', run[i].x, run[i].y);
  }
  return path;
}

// A scatter plot has one marker for each pixel at most.
std::string scatter_marks(const Trace& trace, const Box& box) {
  std::string path;
  std::set<std::pair<long, long>> taken;
  for (const std::vector<Point>& run : trace.runs)
    for (const Point& p : run)
      if (inside(p, box) && taken.emplace(std::lround(p.x), std::lround(p.y)).second)
        path += marker(trace.index, p.x, p.y, 2.4);
  return path;
}

}  // namespace

Point Frame::at(double value_x, double value_y) const {
  const auto near = [](double pixel) { return std::clamp(pixel, -1e6, 1e6); };
  return {near(box.left + x.at(value_x) * box.width()), near(box.bottom - y.at(value_y) * box.height())};
}

std::optional<Point> Trace::last() const {
  return runs.empty() ? std::nullopt : std::optional<Point>(runs.back().back());
}

double x_of(const Series& series, size_t i) {
  return series.x.empty() ? static_cast<double>(i) : series.x[i];
}

std::vector<Point> thin(const std::vector<Point>& points) {
  std::vector<Point> out;
  for (size_t begin = 0, end; begin < points.size(); begin = end) {
    size_t low = begin, high = begin;
    const double column = std::floor(points[begin].x);
    for (end = begin; end < points.size() && std::floor(points[end].x) == column; ++end) {
      if (points[end].y < points[low].y) low = end;
      if (points[end].y > points[high].y) high = end;
    }
    for (size_t i : std::set<size_t>{begin, low, high, end - 1}) out.push_back(points[i]);
  }
  return out;
}

Trace trace_of(const Chart& chart, size_t index, const Frame& frame) {
  const Series& s = chart.series[index];
  Trace trace{index, &s, chart.series.size() == 1, 0, {}};
  std::vector<Point> run;
  const auto end_run = [&] {
    if (!run.empty()) trace.runs.push_back(s.points ? run : thin(run));
    run.clear();
  };
  for (size_t i = 0; i < s.y.size(); ++i) {
    if (!drawable(x_of(s, i)) || !drawable(s.y[i], chart.log_y)) {
      end_run();
      continue;
    }
    run.push_back(frame.at(x_of(s, i), s.y[i]));
    ++trace.count;
  }
  end_run();
  return trace;
}

Sample sample_of(const Trace& trace, const Box& box) {
  if (trace.series->points) return Sample::points;
  return trace.solid(box) ? Sample::solid_line : Sample::line;
}

void draw_trace(Svg& svg, const Trace& trace, const Frame& frame) {
  svg.open("g", {{"class", style_class(trace.index)}});
  if (!trace.series->name.empty()) svg.element("title", {}, trace.series->name);
  if (trace.series->points) {
    svg.path("points", scatter_marks(trace, frame.box));
  } else {
    svg.path(trace.solid(frame.box) ? "dense" : "line", line_path(trace));
    const std::string marks = line_marks(trace, frame.box);
    svg.path("halo", marks);
    svg.path("marks", marks);
  }
  svg.close();
}

}  // namespace stopgrad::view
