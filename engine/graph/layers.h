#pragma once
// The order of things in a drawing, without lengths: layers from the top down, chains from left to right.
#include <map>
#include <vector>

#include "engine/graph/view.h"

namespace stopgrad {

struct GraphLayers {
  /// A node, or the place where a line passes a layer. Item i is node i; lines follow.
  struct Item {
    int node, layer, view;  // node -1: a line
    int chain = -1;
  };
  /// Part of an edge between items of neighbouring layers.
  struct Link {
    int from, to, edge;
    int term;
  };
  /// Items that stand exactly below each other.
  struct Chain {
    int view = 0, boxes = 0;
    std::vector<int> items;
    std::vector<int> links;  // of its items, upwards and downwards
  };

  explicit GraphLayers(const GraphPicture& picture);
  /// Place of a view from left to right; what belongs to none stands in the middle.
  int side(int view) const {
    const int middle = picture.views % 2 ? picture.views + 2 : picture.views + 1;
    return view > 0 ? 2 * view : middle;
  }
  const Item& item(int i) const { return items[static_cast<size_t>(i)]; }
  const Link& link(int i) const { return links[static_cast<size_t>(i)]; }

  const GraphPicture& picture;
  int layers = 0;
  std::vector<Item> items;
  std::vector<Link> links;                     // the links of an edge lie in order
  std::vector<std::vector<int>> below, above;  // links under and over an item
  std::vector<std::vector<int>> gap;           // links under a layer
  std::vector<int> next, previous;             // link that continues an item's chain; -1: none
  std::vector<Chain> chains;
  std::map<int, std::vector<int>> order;  // chains of a view from left to right
  std::vector<int> position;              // of a chain in it

 private:
  void choose_layers();
  void make_items();
  void make_chains();
  void join(int link);
  bool weak(int item) const;
  int main_producer(int node) const;
  int main_reader(int node, const std::vector<int>& main) const;
  void order_chains();
  int crossings(int chain) const;
  void insert_best(std::vector<int>& order, int chain);

  std::vector<int> layer_, height_;  // of nodes: from the top; longest way down
};

}  // namespace stopgrad
