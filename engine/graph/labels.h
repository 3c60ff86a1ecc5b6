#pragma once
// Finds places for the words beside the lines of a drawing, so that they cover little.
#include <vector>

#include "engine/graph/layout.h"

namespace stopgrad {

class GraphLabels {
 public:
  enum class Side { right, left, above };
  struct Place {
    GraphLayout::Box box;
    Side side;  // of the line
  };

  explicit GraphLabels(const GraphLayout& layout);
  /// A place along the route for words of this size; the next call keeps clear of it.
  Place find(const std::vector<GraphLayout::Stop>& route, GraphLayout::Size size);

 private:
  struct Point {
    double x, y;
  };
  double cost(const GraphLayout::Box& box) const;

  const GraphLayout& layout_;
  std::vector<GraphLayout::Box> taken_;
  std::vector<Point> ink_;  // of all lines, every few pixels
};

/// Point of the curve between two stops, u from 0 to 1: vertical at both ends.
void curve_at(const GraphLayout::Stop& from, const GraphLayout::Stop& to, double u, double& x, double& y);

}  // namespace stopgrad
