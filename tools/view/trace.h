#pragma once
// One series of a chart in pixels: where its points fall, which of them are drawn, and how.
#include <string>
#include <vector>

#include "tools/view/chart.h"
#include "tools/view/style.h"

namespace stopgrad::view {

struct Box {
  double left, top, right, bottom;
  double width() const { return right - left; }
  double height() const { return bottom - top; }
};

/// The plot area and its axes.
struct Frame {
  Box box;
  Axis x, y;

  /// Pixel of a drawable value. Far outside the box, positions stop growing: they only have to be out of
  /// sight.
  Point at(double value_x, double value_y) const;
};

struct Trace {
  size_t index;  // of the series, and of its style
  const Series* series;
  bool only = false;                     // the chart has no other
  size_t count = 0;                      // drawable points, before thinning
  std::vector<std::vector<Point>> runs;  // consecutive points between gaps, thinned unless a scatter plot

  bool solid(const Box& box) const { return static_cast<double>(count) > box.width() / 3; }
  std::optional<Point> last() const;
};

/// The x of point i: its number where a series has no x.
double x_of(const Series& series, size_t i);

/// The trace keeps a pointer into `chart`.
Trace trace_of(const Chart& chart, size_t index, const Frame& frame);

/// How a legend shows the trace: dashes only where the points are few enough to leave them readable.
Sample sample_of(const Trace& trace, const Box& box);

void draw_trace(Svg& svg, const Trace& trace, const Frame& frame);

}  // namespace stopgrad::view
