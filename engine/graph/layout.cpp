#include "engine/graph/layout.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <tuple>

#include "engine/graph/index.h"
#include "engine/graph/layers.h"

namespace stopgrad {

namespace {

constexpr double kBoxGap = 46, kLineGap = 26, kLineWidth = 10;  // between neighbours of a layer
constexpr double kPortGap = 30, kTermGap = 70;                  // between lines at a box, at a loss
constexpr double kLayerGap = 66, kLayerGapMost = 150;
constexpr double kStraight = 13;  // of a line before it meets a box, for its tip
constexpr double kPanelPad = 22, kPanelGap = 28, kPanelHead = 32, kMargin = 28;

struct Extent {
  double low = 1e9, high = -1e9;
  void add(double from, double to) {
    low = std::min(low, from);
    high = std::max(high, to);
  }
};

class Layouter {
 public:
  Layouter(const GraphPicture& picture, const std::vector<GraphLayout::Size>& sizes,
           const std::vector<double>& label_widths)
      : picture_(picture), sizes_(sizes), label_widths_(label_widths), g_(picture), x_(g_.chains.size(), 0) {}

  GraphLayout run() {
    for (auto& [view, order] : g_.order) place_chains(order);
    place_views();
    spread_ports();
    place_layers();
    draw_routes();
    draw_panels();
    fit_page();
    return std::move(out_);
  }

 private:
  using Item = GraphLayers::Item;
  using Link = GraphLayers::Link;

  double& x_of(int item) { return x_[at(g_.item(item).chain)]; }
  double width_of(int item) const { return g_.item(item).node >= 0 ? sizes_[at(item)].width : kLineWidth; }
  double leaves_at(int l) { return x_of(g_.link(l).from) + port_below_[at(l)]; }
  double enters_at(int l) { return x_of(g_.link(l).to) + port_above_[at(l)]; }

  void place_chains(const std::vector<int>& order);
  void pull(const std::vector<int>& order, const std::vector<double>& mass);
  void place_views();
  void spread_ports();
  void spread_ports(int item, bool below);
  void place_layers();
  void draw_routes();
  void draw_panels();
  void fit_page();

  const GraphPicture& picture_;
  const std::vector<GraphLayout::Size>& sizes_;
  const std::vector<double>& label_widths_;
  const GraphLayers g_;
  std::vector<double> x_;                        // of the chains
  std::map<int, Extent> extents_;                // of the views, with what is written at their lines
  std::vector<double> port_below_, port_above_;  // by link: where it leaves and enters, from the box's middle
  std::vector<double> top_, height_;             // of the layers
  GraphLayout out_;
};

/// Springs between connected chains.
void Layouter::pull(const std::vector<int>& order, const std::vector<double>& mass) {
  std::vector<double> force(order.size(), 0);
  for (size_t k = 0; k < order.size(); ++k)
    for (int l : g_.chains[at(order[k])].links) {
      const int from = g_.item(g_.link(l).from).chain, to = g_.item(g_.link(l).to).chain;
      const int other = from == order[k] ? to : from;
      if (g_.chains[at(other)].view == g_.chains[at(order[k])].view)
        force[k] += x_[at(other)] - x_[at(order[k])];
    }
  for (size_t k = 0; k < order.size(); ++k) x_[at(order[k])] += 0.3 * force[k] / mass[k];
}

/// Connected chains of a view attract each other, neighbours keep their distance, and the longest chain does
/// not move. At last the distances are made exact, from the longest chain outwards.
void Layouter::place_chains(const std::vector<int>& order) {
  std::vector<double> mass;
  size_t spine = 0;
  for (size_t k = 0; k < order.size(); ++k) {
    mass.push_back(1 + 4 * g_.chains[at(order[k])].boxes);
    if (mass[k] > mass[spine]) spine = k;
  }
  mass[spine] = 1e9;

  std::map<int, std::vector<int>> rows;
  for (int c : order)
    for (int i : g_.chains[at(c)].items) rows[g_.item(i).layer].push_back(i);
  std::map<std::pair<size_t, size_t>, double> apart;  // by place in the order: right one, left one
  for (auto& [layer, row] : rows)
    for (size_t k = 1; k < row.size(); ++k) {
      const Item &a = g_.item(row[k - 1]), &b = g_.item(row[k]);
      const double gap = a.node >= 0 && b.node >= 0 ? kBoxGap : kLineGap;
      double& d = apart[{at(g_.position[at(b.chain)]), at(g_.position[at(a.chain)])}];
      d = std::max(d, std::ceil((width_of(row[k - 1]) + width_of(row[k])) / 2 + gap));
    }
  auto x = [&](size_t k) -> double& { return x_[at(order[k])]; };
  for (int round = 0; round < 400; ++round) {
    pull(order, mass);
    for (int pass = 0; pass < 10; ++pass)
      for (auto& [pair, distance] : apart) {
        const auto [b, a] = pair;
        const double missing = std::max(0.0, distance - (x(b) - x(a)));
        x(a) -= missing * mass[b] / (mass[a] + mass[b]);
        x(b) += missing * mass[a] / (mass[a] + mass[b]);
      }
  }
  for (size_t k = 0; k < order.size(); ++k) x(k) = std::round(x(k));
  for (size_t a = spine; a-- > 0;)
    for (auto& [pair, distance] : apart)
      if (pair.second == a && pair.first <= spine) x(a) = std::min(x(a), x(pair.first) - distance);
  for (auto& [pair, distance] : apart)
    if (pair.first > spine) x(pair.first) = std::max(x(pair.first), x(pair.second) + distance);
}

/// Views stand beside a middle band that is as wide as what stands in it between them.
void Layouter::place_views() {
  int first = g_.layers, last = -1;
  for (int i = 0; i < static_cast<int>(g_.items.size()); ++i) {
    const Item& item = g_.item(i);
    if (item.view == 0) continue;
    first = std::min(first, item.layer);
    last = std::max(last, item.layer);
    extents_[item.view].add(x_of(i) - width_of(i) / 2, x_of(i) + width_of(i) / 2);
  }
  for (int l = 0; l < static_cast<int>(g_.links.size()); ++l) {  // room for words beside a line
    const Item& item = g_.item(g_.link(l).to);
    if (item.view == 0 || item.node >= 0) continue;
    const double room = kLineWidth + label_widths_[at(g_.link(l).edge)];
    const double x = x_[at(item.chain)], middle = (extents_[item.view].low + extents_[item.view].high) / 2;
    extents_[item.view].add(x < middle ? x - room : x, x < middle ? x : x + room);
  }
  Extent middle;
  for (int i = 0; i < static_cast<int>(g_.items.size()); ++i)
    if (g_.item(i).view == 0 && g_.item(i).layer >= first && g_.item(i).layer <= last)
      middle.add(x_of(i) - width_of(i) / 2 - kLineGap, x_of(i) + width_of(i) / 2 + kLineGap);
  const bool empty = middle.low > middle.high;
  double left = (empty ? 0 : middle.low) - kPanelGap / 2, right = (empty ? 0 : middle.high) + kPanelGap / 2;
  std::map<int, double> shift;
  for (auto it = extents_.rbegin(); it != extents_.rend(); ++it) {
    if (g_.side(it->first) > g_.side(0)) continue;
    shift[it->first] = left - kPanelPad - it->second.high;
    left -= it->second.high - it->second.low + 2 * kPanelPad + kPanelGap;
  }
  for (auto& [view, extent] : extents_) {
    if (g_.side(view) < g_.side(0)) continue;
    shift[view] = right + kPanelPad - extent.low;
    right += extent.high - extent.low + 2 * kPanelPad + kPanelGap;
  }
  if (empty && !extents_.empty()) shift[0] = (left + right) / 2;  // what follows the views, under all of them
  for (size_t c = 0; c < x_.size(); ++c) x_[c] += shift[g_.chains[c].view];
  for (auto& [view, extent] : extents_) extent = {extent.low + shift[view], extent.high + shift[view]};
}

/// A line that continues its chain uses the middle of the box; the others lie beside it in the order of
/// what they lead to.
void Layouter::spread_ports(int i, bool below) {
  std::vector<int> list = below ? g_.below[at(i)] : g_.above[at(i)];
  auto key = [&](int l) {
    const Item& other = g_.item(below ? g_.link(l).to : g_.link(l).from);
    const int term = g_.link(l).term;  // the sides of a term enter a loss together
    return std::tuple(below ? 0 : term, g_.side(other.view), g_.position[at(other.chain)], term, l);
  };
  std::sort(list.begin(), list.end(), [&](int a, int b) { return key(a) < key(b); });
  const int count = static_cast<int>(list.size());
  const auto straight = std::find(list.begin(), list.end(), below ? g_.next[at(i)] : g_.previous[at(i)]);
  const double centre =
      straight != list.end() ? static_cast<double>(straight - list.begin()) : (count - 1) / 2.0;
  const double most = std::max(centre, count - 1 - centre);
  const bool terms = !below && count > 1 && g_.link(list[0]).term > 0;
  const double room = width_of(i) / 2 - 18;
  const double step = most > 0 ? std::min(terms ? kTermGap : kPortGap, room / most) : 0;
  for (int k = 0; k < count; ++k) (below ? port_below_ : port_above_)[at(list[at(k)])] = (k - centre) * step;
}

void Layouter::spread_ports() {
  port_below_.assign(g_.links.size(), 0);
  port_above_.assign(g_.links.size(), 0);
  for (int i = 0; i < static_cast<int>(picture_.nodes.size()); ++i)
    for (bool below : {false, true}) spread_ports(i, below);
}

/// A gap is higher where lines go far to the side.
void Layouter::place_layers() {
  height_.assign(at(g_.layers), 0);
  for (size_t i = 0; i < sizes_.size(); ++i) {
    double& height = height_[at(g_.items[i].layer)];
    height = std::max(height, sizes_[i].height);
  }
  double y = 0;
  for (size_t layer = 0; layer < height_.size(); ++layer) {
    top_.push_back(y);
    double widest = 0;
    for (int l : g_.gap[layer]) widest = std::max(widest, std::abs(leaves_at(l) - enters_at(l)));
    const bool terms =
        std::any_of(g_.gap[layer].begin(), g_.gap[layer].end(), [&](int l) { return g_.link(l).term > 0; });
    y += height_[layer] +
         std::min(kLayerGapMost, kLayerGap + (terms ? 20 : 0) + std::max(0.0, 0.2 * (widest - 100)));
  }
  for (size_t i = 0; i < sizes_.size(); ++i) {
    const auto layer = at(g_.items[i].layer);
    const auto [width, height] = sizes_[i];
    out_.boxes.push_back(
        {x_[at(g_.items[i].chain)] - width / 2, top_[layer] + (height_[layer] - height) / 2, width, height});
  }
}

void Layouter::draw_routes() {
  out_.routes.resize(picture_.edges.size());
  for (int l = 0; l < static_cast<int>(g_.links.size()); ++l) {
    const Link& link = g_.link(l);
    auto& route = out_.routes[at(link.edge)];
    const Item &a = g_.item(link.from), &b = g_.item(link.to);
    const double upper = top_[at(a.layer)] + height_[at(a.layer)], lower = top_[at(b.layer)];
    if (a.node >= 0) {
      const double start = out_.boxes[at(a.node)].bottom();
      route.push_back({leaves_at(l), start, std::max(upper, start + kStraight)});
    }
    const double end = b.node >= 0 ? out_.boxes[at(b.node)].top : lower + height_[at(b.layer)];
    route.push_back({enters_at(l), b.node >= 0 ? std::min(lower, end - kStraight) : lower, end});
  }
}

void Layouter::draw_panels() {
  for (auto& [view, extent] : extents_) {
    Extent y;
    for (size_t i = 0; i < out_.boxes.size(); ++i)
      if (picture_.nodes[i].view == view) y.add(out_.boxes[i].top - kPanelHead, out_.boxes[i].bottom() + 14);
    out_.panels.push_back(
        {view, {extent.low - kPanelPad, y.low, extent.high - extent.low + 2 * kPanelPad, y.high - y.low}});
  }
}

void Layouter::fit_page() {
  Extent x, y;
  auto include = [&](const GraphLayout::Box& b) {
    x.add(b.left, b.right());
    y.add(b.top, b.bottom());
  };
  for (const auto& box : out_.boxes) include(box);
  for (const auto& panel : out_.panels) include(panel.box);
  for (const auto& route : out_.routes)
    for (const auto& stop : route) x.add(stop.x, stop.x);
  const double dx = kMargin - x.low, dy = kMargin - y.low;
  auto move = [&](GraphLayout::Box& b) {
    b.left += dx;
    b.top += dy;
  };
  for (auto& box : out_.boxes) move(box);
  for (auto& panel : out_.panels) move(panel.box);
  for (auto& route : out_.routes)
    for (auto& stop : route) stop = {stop.x + dx, stop.top + dy, stop.bottom + dy};
  out_.width = x.high - x.low + 2 * kMargin;
  out_.height = y.high - y.low + 2 * kMargin;
}

}  // namespace

GraphLayout lay_out(const GraphPicture& picture, const std::vector<GraphLayout::Size>& sizes,
                    const std::vector<double>& label_widths) {
  return Layouter(picture, sizes, label_widths).run();
}

}  // namespace stopgrad
