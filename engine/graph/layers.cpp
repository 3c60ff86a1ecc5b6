#include "engine/graph/layers.h"

#include <algorithm>
#include <tuple>

#include "engine/graph/index.h"

namespace stopgrad {

namespace {
using Kind = PictureNode::Kind;

/// Without those that `unwanted` holds for, if there is a choice.
template <class Unwanted>
std::vector<int> prefer(std::vector<int> list, Unwanted unwanted) {
  if (list.size() > 1) list.erase(std::remove_if(list.begin(), list.end(), unwanted), list.end());
  return list;
}
}  // namespace

GraphLayers::GraphLayers(const GraphPicture& p) : picture(p) {
  choose_layers();
  make_items();
  make_chains();
  order_chains();
}

/// Longest path from the top. Leaves stand just over their first reader; walls, and parts that lead to walls,
/// as low as they can, so that the walls of all views stand side by side before the loss.
void GraphLayers::choose_layers() {
  const int count = static_cast<int>(picture.nodes.size());
  layer_.assign(at(count), 0);
  height_.assign(at(count), 0);
  for (int i = 0; i < count; ++i)
    for (const PictureEdge& e : picture.edges)
      if (e.from == i) layer_[at(e.to)] = std::max(layer_[at(e.to)], layer_[at(i)] + 1);
  for (int i = count - 1; i >= 0; --i) {
    const Kind kind = picture.nodes[at(i)].kind;
    bool sinks = kind != Kind::operation && kind != Kind::module && kind != Kind::loss;
    int lowest = -1;
    for (const PictureEdge& e : picture.edges) {
      if (e.from != i) continue;
      height_[at(i)] = std::max(height_[at(i)], height_[at(e.to)] + 1);
      lowest = lowest < 0 ? layer_[at(e.to)] - 1 : std::min(lowest, layer_[at(e.to)] - 1);
      if (kind == Kind::part) sinks = sinks && picture.nodes[at(e.to)].kind == Kind::wall;
    }
    if (sinks && lowest >= 0) layer_[at(i)] = lowest;
  }
  for (int layer : layer_) layers = std::max(layers, layer + 1);
}

void GraphLayers::make_items() {
  for (size_t i = 0; i < layer_.size(); ++i)
    items.push_back({static_cast<int>(i), layer_[i], picture.nodes[i].view});
  for (int e = 0; e < static_cast<int>(picture.edges.size()); ++e) {
    const PictureEdge& edge = picture.edges[at(e)];
    const int own = picture.nodes[at(edge.from)].view;
    const int view = own ? own : picture.nodes[at(edge.to)].view;
    int from = edge.from;
    for (int layer = layer_[at(edge.from)] + 1; layer < layer_[at(edge.to)]; ++layer) {
      const int line = static_cast<int>(items.size());
      items.push_back({-1, layer, view});
      links.push_back({from, line, e, edge.term});
      from = line;
    }
    links.push_back({from, edge.to, e, edge.term});
  }
  below.resize(items.size());
  above.resize(items.size());
  gap.resize(at(layers));
  for (int l = 0; l < static_cast<int>(links.size()); ++l) {
    below[at(link(l).from)].push_back(l);
    above[at(link(l).to)].push_back(l);
    gap[at(item(link(l).from).layer)].push_back(l);
  }
}

void GraphLayers::join(int l) {
  const auto [from, to, edge, term] = link(l);
  if (next[at(from)] >= 0 || previous[at(to)] >= 0 || item(from).view != item(to).view) return;
  next[at(from)] = previous[at(to)] = l;
}

/// Beside the way and not on it, where there is a choice.
bool GraphLayers::weak(int i) const {
  if (item(i).node < 0) return false;
  const Kind kind = picture.nodes[at(item(i).node)].kind;
  return kind == Kind::wall || kind == Kind::part;
}

/// The link over a node that its chain comes from; -1 if there are several of equal weight.
int GraphLayers::main_producer(int v) const {
  std::vector<int> over;
  for (int l : above[at(v)]) {
    const Item& u = item(link(l).from);
    if (u.node < 0 || u.view != item(v).view) continue;
    const Kind kind = picture.nodes[at(u.node)].kind;
    if (kind != Kind::parameter && kind != Kind::constant) over.push_back(l);
  }
  over = prefer(
      over, [&](int l) { return weak(link(l).from) || picture.nodes[at(link(l).from)].kind == Kind::input; });
  return over.size() == 1 ? over[0] : -1;
}

/// The link under a node that its chain goes on with: to the longest way down; -1 at a fork of equals.
int GraphLayers::main_reader(int u, const std::vector<int>& main) const {
  std::vector<int> under;
  for (int l : below[at(u)])
    if (main[at(link(l).to)] == l && (!weak(link(l).to) || below[at(u)].size() == 1)) under.push_back(l);
  int longest = 0;
  for (int l : under) longest = std::max(longest, height_[at(link(l).to)]);
  under = prefer(under, [&](int l) { return height_[at(link(l).to)] < longest; });
  return under.size() == 1 ? under[0] : -1;
}

void GraphLayers::make_chains() {
  next.assign(items.size(), -1);
  previous.assign(items.size(), -1);
  const int nodes = static_cast<int>(picture.nodes.size());
  std::vector<int> main(items.size(), -1);
  for (int v = 0; v < nodes; ++v) main[at(v)] = main_producer(v);
  for (int u = 0; u < nodes; ++u)
    if (const int l = main_reader(u, main); l >= 0) join(l);
  // Lines go straight down, into a box and out of it where nothing else of weight does.
  for (int l = 0; l < static_cast<int>(links.size()); ++l) {
    const bool from_line = item(link(l).from).node < 0, to_line = item(link(l).to).node < 0;
    if (!from_line && !to_line) continue;
    const auto& siblings = below[at(link(l).from)];
    const auto strong =
        std::count_if(siblings.begin(), siblings.end(), [&](int k) { return !weak(link(k).to); });
    if ((from_line || strong == 1) && (to_line || above[at(link(l).to)].size() == 1)) join(l);
  }
  for (int i = 0; i < static_cast<int>(items.size()); ++i) {
    if (previous[at(i)] >= 0) continue;
    Chain chain{.view = item(i).view};
    for (int k = i; k >= 0; k = next[at(k)] >= 0 ? link(next[at(k)]).to : -1) {
      items[at(k)].chain = static_cast<int>(chains.size());
      chain.boxes += item(k).node >= 0;
      chain.items.push_back(k);
      for (const auto* list : {&below[at(k)], &above[at(k)]})
        chain.links.insert(chain.links.end(), list->begin(), list->end());
    }
    chains.push_back(std::move(chain));
  }
}

/// Of the links of a chain with all links of chains that have a position.
int GraphLayers::crossings(int chain) const {
  auto place = [&](int i) { return std::pair(side(item(i).view), position[at(item(i).chain)]); };
  auto bottom = [&](const Link& l) { return std::pair(place(l.to), l.term); };
  auto placed = [&](const Link& l) { return place(l.from).second >= 0 && place(l.to).second >= 0; };
  int count = 0;
  for (int l : chains[at(chain)].links) {
    const Link& a = link(l);
    if (!placed(a)) continue;
    for (int k : gap[at(item(a.from).layer)]) {
      const Link& b = link(k);
      if (!placed(b)) continue;
      count += place(a.from) < place(b.from) && bottom(a) > bottom(b);
      count += place(a.from) > place(b.from) && bottom(a) < bottom(b);
    }
  }
  return count;
}

/// Tries all places. Among equals, what leads to other views stands towards the middle of the picture, what
/// stays in its view away from it.
void GraphLayers::insert_best(std::vector<int>& list, int chain) {
  const Chain& c = chains[at(chain)];
  const bool leads_out = std::any_of(c.links.begin(), c.links.end(),
                                     [&](int l) { return item(link(l).from).view != item(link(l).to).view; });
  const bool leftwards = c.view > 0 && (side(c.view) < side(0)) != leads_out;
  const int count = static_cast<int>(list.size());
  std::vector<int> places;  // to the left of list[place]
  for (int p = 0; p <= count; ++p) places.push_back(leftwards ? p : count - p);
  auto number = [&](const std::vector<int>& row) {
    for (size_t i = 0; i < row.size(); ++i) position[at(row[i])] = static_cast<int>(i);
  };
  int best = 0, fewest = -1;
  for (int p : places) {
    std::vector<int> trial = list;
    trial.insert(trial.begin() + p, chain);
    number(trial);
    const int now = crossings(chain);
    if (fewest >= 0 && now >= fewest) continue;
    fewest = now;
    best = p;
  }
  list.insert(list.begin() + best, chain);
  number(list);
}

/// The longest chain of a view first, then the others from the top down; then again those that cross.
void GraphLayers::order_chains() {
  position.assign(chains.size(), -1);
  std::map<int, std::vector<int>> waiting;
  for (int c = 0; c < static_cast<int>(chains.size()); ++c) waiting[chains[at(c)].view].push_back(c);
  for (auto& [view, list] : waiting) {
    auto longer = [&](int a, int b) { return chains[at(a)].boxes < chains[at(b)].boxes; };
    auto start = [&](int c) { return item(chains[at(c)].items[0]).layer; };
    const auto longest = std::max_element(list.begin(), list.end(), longer);
    std::rotate(list.begin(), longest, longest + 1);
    std::stable_sort(list.begin() + 1, list.end(), [&](int a, int b) { return start(a) < start(b); });
    for (int c : list) insert_best(order[view], c);
  }
  for (int pass = 0; pass < 4; ++pass)
    for (auto& [view, list] : waiting)
      for (size_t i = 1; i < list.size(); ++i) {
        if (crossings(list[i]) == 0) continue;
        std::vector<int>& row = order[view];
        row.erase(std::find(row.begin(), row.end(), list[i]));
        insert_best(row, list[i]);
      }
}

}  // namespace stopgrad
