#include "engine/graph/labels.h"

#include <cmath>

namespace stopgrad {

namespace {
constexpr double kClear = 11;  // between a line and its words: half a pair of lines and some air
}

void curve_at(const GraphLayout::Stop& from, const GraphLayout::Stop& to, double u, double& x, double& y) {
  x = from.x + (to.x - from.x) * (3 * u * u - 2 * u * u * u);
  y = from.bottom + (to.top - from.bottom) * (1.5 * u - 1.5 * u * u + u * u * u);
}

GraphLabels::GraphLabels(const GraphLayout& layout) : layout_(layout) {
  for (const auto& route : layout.routes)
    for (size_t i = 0; i < route.size(); ++i) {
      for (double y = route[i].top; y < route[i].bottom; y += 5) ink_.push_back({route[i].x, y});
      if (i + 1 == route.size()) break;
      const double length =
          std::abs(route[i + 1].x - route[i].x) + std::abs(route[i + 1].top - route[i].bottom);
      const int steps = static_cast<int>(length / 5) + 1;
      for (int k = 0; k <= steps; ++k) {
        Point& p = ink_.emplace_back();
        curve_at(route[i], route[i + 1], static_cast<double>(k) / steps, p.x, p.y);
      }
    }
}

double GraphLabels::cost(const GraphLayout::Box& box) const {
  double sum = 0;
  for (const auto& b : layout_.boxes)
    sum += 60 * b.meets({box.left - 4, box.top - 2, box.width + 8, box.height + 4});
  for (const auto& b : taken_) sum += 60 * b.meets({box.left - 3, box.top, box.width + 6, box.height});
  for (const Point& p : ink_)
    sum += p.x > box.left - 8 && p.x < box.right() + 8 && p.y > box.top - 4 && p.y < box.bottom() + 4;
  for (const auto& panel : layout_.panels) {
    const auto& b = panel.box;
    const bool inside =
        box.left > b.left + 4 && box.right() < b.right() - 4 && box.top > b.top && box.bottom() < b.bottom();
    sum += b.meets(box) && !inside ? 2 : 0;
  }
  return sum + (box.left < 4 || box.right() > layout_.width - 4 ? 60 : 0);
}

GraphLabels::Place GraphLabels::find(const std::vector<GraphLayout::Stop>& route, GraphLayout::Size size) {
  Place best{};
  double least = 1e18;
  auto consider = [&](double x, double y, double dislike) {
    const double top = y - size.height / 2, above = size.height / 2 + kClear;
    const Place places[] = {{{x + kClear, top, size.width, size.height}, Side::right},
                            {{x - kClear - size.width, top, size.width, size.height}, Side::left},
                            {{x - size.width / 2, top - above, size.width, size.height}, Side::above},
                            {{x - size.width / 2, top + above, size.width, size.height}, Side::above}};
    double taste = dislike;
    for (const Place& place : places) {
      const double now = cost(place.box) + taste;
      taste += 0.15;
      if (now >= least) continue;
      least = now;
      best = place;
    }
  };
  for (size_t i = 0; i + 1 < route.size(); ++i)
    for (double u : {0.5, 0.4, 0.6, 0.3, 0.7, 0.2, 0.8, 0.1, 0.9}) {
      double x = 0, y = 0;
      curve_at(route[i], route[i + 1], u, x, y);
      consider(x, y, 1.5 * std::abs(u - 0.5) + 0.3 * static_cast<double>(i));
    }
  for (size_t i = 1; i + 1 < route.size(); ++i)
    if (route[i].bottom - route[i].top > size.height)
      consider(route[i].x, (route[i].top + route[i].bottom) / 2, 0.5);
  taken_.push_back(best.box);
  return best;
}

}  // namespace stopgrad
