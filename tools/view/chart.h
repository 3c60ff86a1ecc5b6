#pragma once
// Charts as SVG text: lines and points, grouped bars, heat maps. Every value that is NaN or infinite is a
// gap.
#include <optional>
#include <string>
#include <vector>

#include "tools/view/axis.h"

namespace stopgrad::view {

struct Series {
  std::string name;
  std::vector<double> x, y;  // equally long; an empty x counts 0, 1, 2, ...
  bool points = false;       // no line between the points: a scatter plot
};

/// A level to compare with, such as -1 for the loss; widens the y range until it is seen.
struct ReferenceLine {
  std::string label;
  double y;
};

struct Chart {
  std::string title, x_label, y_label;
  std::vector<Series> series;
  std::vector<ReferenceLine> lines;
  bool log_y = false;
  std::optional<Range> y_range;  // as given; what lies outside is cut off
  int width = 560, height = 320;
};

/// Names stand at the ends of the lines where there is room, else in a legend. A series with more points than
/// pixels keeps the smallest and the largest of each pixel column. Throws for a series whose x and y differ
/// in length and for a y range that is empty.
std::string to_svg(const Chart& chart);

struct Bars {
  std::string name;
  std::vector<double> values;  // one for each group
};

/// Horizontal bars from zero, one group for each name, one bar in it for each series.
struct BarChart {
  std::string title, x_label;
  std::vector<std::string> groups;
  std::vector<Bars> series;
  std::vector<ReferenceLine> lines;  // vertical here
  std::optional<double> x_high;      // the axis reaches this at least, e.g. 100 for per cent
  int width = 560;                   // the height follows from the bars
};
std::string to_svg(const BarChart& chart);

/// A matrix in diverging colours: paper is zero, one colour grows with the positive values, another with the
/// negative ones.
struct HeatMap {
  std::string title, x_label, y_label;
  size_t rows = 0, columns = 0;
  std::vector<double> values;                        // [rows, columns]
  std::vector<std::string> row_names, column_names;  // none, or one for each
  std::optional<double> limit;  // magnitude of the full colour; the largest one if absent
  int width = 420;
};
std::string to_svg(const HeatMap& map);

/// The numbers behind a picture, for reading. Cells are plain text.
struct Table {
  std::vector<std::string> header;
  std::vector<std::vector<std::string>> rows;
  std::string note;  // what was left out; empty when nothing was
};

/// At most 200 rows; the note says which were left out.
Table values(const Chart& chart);
Table values(const BarChart& chart);
/// The matrix itself up to 16 x 16, a summary beyond.
Table values(const HeatMap& map);

/// A pixel position.
struct Point {
  double x, y;
};

/// The same outline with at most four points in each pixel column: of consecutive points in one column the
/// first, the lowest, the highest and the last, in their order.
std::vector<Point> thin(const std::vector<Point>& points);

}  // namespace stopgrad::view
