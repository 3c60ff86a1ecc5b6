#pragma once
// Where the boxes of a picture stand and how its lines run. Layers go from the top down; a view is a band of
// its own, what belongs to no view stands between the bands. Lengths are in pixels.
#include <vector>

#include "engine/graph/view.h"

namespace stopgrad {

struct GraphLayout {
  struct Size {
    double width, height;
  };
  struct Box {
    double left = 0, top = 0, width = 0, height = 0;
    double right() const { return left + width; }
    double bottom() const { return top + height; }
    double centre() const { return left + width / 2; }
    bool meets(const Box& o) const {
      return left < o.right() && o.left < right() && top < o.bottom() && o.top < bottom();
    }
  };
  /// A line runs straight down at x; a curve leads to the next stop. Curves lie between layers, where no
  /// box is; stops lie beside the boxes of a layer.
  struct Stop {
    double x, top, bottom;
  };
  struct Panel {
    int view;
    Box box;
  };
  std::vector<Box> boxes;                 // of the nodes
  std::vector<std::vector<Stop>> routes;  // of the edges, producer first
  std::vector<Panel> panels;
  double width = 0, height = 0;
};

/// The same picture gives the same layout. Sizes are of the nodes, widths of what is written at the edges.
GraphLayout lay_out(const GraphPicture& picture, const std::vector<GraphLayout::Size>& sizes,
                    const std::vector<double>& label_widths);

}  // namespace stopgrad
