#include <algorithm>
#include <cmath>
#include <map>

#include "engine/graph/index.h"
#include "engine/graph/labels.h"
#include "engine/graph/style.h"
#include "engine/graph/svg_parts.h"

namespace stopgrad {

namespace {

using Kind = PictureNode::Kind;
using Backward = PictureEdge::Backward;
using Box = GraphLayout::Box;

constexpr double kLine = 15, kLabelLine = 14;
constexpr double kPair = 4.5;      // half the distance between a value's line and its gradient's
constexpr double kTermWidth = 76;  // room for a line into a loss with terms
constexpr double kHead = 64;       // height of the title

std::string norm_text(double x) { return fmt::format("|∇| {:.3g}", x); }

std::string subscript(int n) {
  const char* digits[] = {"₀", "₁", "₂", "₃", "₄", "₅", "₆", "₇", "₈", "₉"};
  std::string out;
  for (char c : std::to_string(n)) out += digits[c - '0'];
  return out;
}

struct Line {
  std::string text, css;
};

double width_of(const std::vector<Line>& lines) {
  double width = 0;
  for (const Line& line : lines) width = std::max(width, text_width(line.text, kText));
  return width;
}

class Drawing {
 public:
  explicit Drawing(const GraphPicture& picture) : picture_(picture) {
    std::vector<GraphLayout::Size> sizes;
    for (size_t i = 0; i < picture.nodes.size(); ++i) sizes.push_back(size_of(i));
    std::vector<double> widths;
    for (const PictureEdge& e : picture.edges) widths.push_back(width_of(words_at(e)));
    layout_ = lay_out(picture, sizes, widths);
  }

  std::string page();

 private:
  bool back(const PictureEdge& e) const { return picture_.draws_backward && e.backward != Backward::nothing; }
  std::vector<Line> words_in(size_t node) const;
  std::vector<Line> words_at(const PictureEdge& edge) const;
  GraphLayout::Size size_of(size_t node) const;
  std::map<int, double> terms_of(size_t node) const;
  void draw_panel(const GraphLayout::Panel& panel);
  void draw_frame(const PictureNode& node, const Box& box);
  void draw_node(size_t i);
  void draw_edge(size_t e);
  void draw_words(size_t e, GraphLabels& labels);
  void text(double x, double y, const std::string& css, const std::string& words,
            const char* anchor = "middle");

  const GraphPicture& picture_;
  GraphLayout layout_;
  std::string out_;
};

void Drawing::text(double x, double y, const std::string& css, const std::string& words, const char* anchor) {
  out_ += fmt::format("<text x=\"{}\" y=\"{}\" class=\"{}\" text-anchor=\"{}\">{}</text>\n", px(x), px(y),
                      css, anchor, escape(words));
}

/// Under the name of a box.
std::vector<Line> Drawing::words_in(size_t i) const {
  const PictureNode& n = picture_.nodes[i];
  std::vector<Line> out;
  if (!n.detail.empty()) out.push_back({n.detail, ""});
  if ((n.kind == Kind::operation || n.kind == Kind::part) && !n.scope.empty()) out.push_back({n.scope, ""});
  int flows = 0;
  for (const PictureEdge& e : picture_.edges) flows += at(e.from) == i && e.backward == Backward::flows;
  if (picture_.draws_backward && n.norm && flows > 1)
    out.push_back(
        {fmt::format("|∇₁+{}∇{}| {:.3g}", flows > 2 ? "…+" : "", subscript(flows), *n.norm), "norm"});
  return out;
}

/// Beside a line. A parameter has its shape in its box.
std::vector<Line> Drawing::words_at(const PictureEdge& e) const {
  std::vector<Line> out;
  if (!e.shape.empty() && picture_.nodes[at(e.from)].kind != Kind::parameter) out.push_back({e.shape, ""});
  if (back(e) && e.backward == Backward::blocked) out.push_back({"no gradient", "none"});
  if (back(e) && e.norm) out.push_back({norm_text(*e.norm), "norm"});
  return out;
}

GraphLayout::Size Drawing::size_of(size_t i) const {
  const PictureNode& n = picture_.nodes[i];
  const std::vector<Line> words = words_in(i);
  int terms = 0;
  for (const PictureEdge& e : picture_.edges) terms += at(e.to) == i && e.term > 0;
  const bool big = n.kind == Kind::module || n.kind == Kind::loss;
  const bool small = n.kind == Kind::part || n.kind == Kind::input || n.kind == Kind::constant;
  const double least = big ? 150 : small ? 74 : 96;
  const double width = std::max(
      {least, 1.08 * text_width(n.title, kName) + 52, width_of(words) + 30, terms * kTermWidth + 20});
  return {std::ceil(width),
          30 + kLine * static_cast<double>(words.size()) + (terms > 0 ? 20 : 0) + (big ? 8 : 0)};
}

/// Where the terms of a loss enter it: the middle of their lines.
std::map<int, double> Drawing::terms_of(size_t i) const {
  std::map<int, std::pair<double, int>> sums;
  for (size_t e = 0; e < picture_.edges.size(); ++e) {
    const PictureEdge& edge = picture_.edges[e];
    if (at(edge.to) != i || edge.term == 0) continue;
    sums[edge.term].first += layout_.routes[e].back().x;
    sums[edge.term].second += 1;
  }
  std::map<int, double> out;
  for (auto& [term, sum] : sums) out[term] = sum.first / sum.second;
  return out;
}

void Drawing::draw_panel(const GraphLayout::Panel& panel) {
  const Box& b = panel.box;
  out_ += fmt::format("<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" rx=\"10\" class=\"panel\"/>\n",
                      px(b.left), px(b.top), px(b.width), px(b.height));
  text(b.left + 14, b.top + 20, "view", fmt::format("view {}", panel.view), "start");
}

void Drawing::draw_frame(const PictureNode& n, const Box& b) {
  if (n.kind == Kind::wall) {
    const double cut = 10;
    out_ += "<polygon class=\"box wall\" points=\"";
    for (auto [x, y] : {std::pair(b.left + cut, b.top),
                        {b.right() - cut, b.top},
                        {b.right(), b.top + cut},
                        {b.right(), b.bottom() - cut},
                        {b.right() - cut, b.bottom()},
                        {b.left + cut, b.bottom()},
                        {b.left, b.bottom() - cut},
                        {b.left, b.top + cut}})
      out_ += fmt::format("{},{} ", px(x), px(y));
    out_.back() = '"';
    out_ += "/>\n";
    return;
  }
  std::string css = "box";
  double radius = 7;
  if (n.kind == Kind::loss) css += " loss";
  if (n.kind == Kind::parameter) css += " parameter", radius = 2;
  if (n.kind == Kind::constant) css += " constant";
  if (n.kind == Kind::input || n.kind == Kind::part || n.kind == Kind::constant) radius = b.height / 2;
  out_ += fmt::format("<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" rx=\"{}\" class=\"{}\"/>\n",
                      px(b.left), px(b.top), px(b.width), px(b.height), px(radius), css);
}

void Drawing::draw_node(size_t i) {
  const PictureNode& n = picture_.nodes[i];
  const Box& b = layout_.boxes[i];
  std::string hover = n.scope.empty() || n.scope == n.title ? "" : n.scope + ": ";
  hover += n.title;
  if (!n.entries.empty()) hover += fmt::format(", from #{} of the tape", n.entries.front());
  out_ += fmt::format("<g><title>{}</title>\n", escape(hover));
  draw_frame(n, b);
  const std::map<int, double> terms = terms_of(i);
  for (const auto& [term, x] : terms) text(x, b.top + 17, "", fmt::format("term {}", term));
  const bool big = n.kind == Kind::module || n.kind == Kind::loss;
  double y = b.top + 20 + (terms.empty() ? 0 : 20) + (big ? 4 : 0);
  double x = b.centre();
  if (picture_.draws_backward) {  // filled or hollow: shape and not colour tells them apart
    out_ += fmt::format("<circle cx=\"{}\" cy=\"{}\" r=\"4.2\" class=\"{}\"/>\n",
                        px(x - 0.54 * text_width(n.title, kName) - 5), px(y - 4.7),
                        n.gradient ? "mark" : "nomark");
    x += 7;
  }
  text(x, y, n.kind == Kind::wall ? "name wallname" : "name", n.title);
  for (const Line& line : words_in(i)) text(b.centre(), y += kLine, line.css, line.text);
  out_ += "</g>\n";
}

/// Downwards, or upwards for a gradient. `offset` is to the side and keeps a pair of lines apart on curves
/// too; `trim` leaves room for the tip.
std::string path_of(const std::vector<GraphLayout::Stop>& route, double offset, bool up, double trim) {
  struct Point {
    double x, y;
  };
  std::vector<Point> points;  // straight, then a curve of three more points, straight, ...
  for (size_t i = 0; i < route.size(); ++i) {
    const auto& s = route[i];
    points.push_back({s.x + offset, s.top + (i == 0 && up ? trim : 0)});
    points.push_back({s.x + offset, s.bottom - (i + 1 == route.size() && !up ? trim : 0)});
    if (i + 1 == route.size()) break;
    const auto& t = route[i + 1];
    const double dx = t.x - s.x, height = t.top - s.bottom;
    const double middle = s.bottom + height / 2 - offset * std::clamp(2 * dx / height, -1.0, 1.0);
    points.push_back({s.x + offset, middle});
    points.push_back({t.x + offset, middle});
  }
  if (up) std::reverse(points.begin(), points.end());
  auto xy = [&](size_t k) { return fmt::format("{},{}", px(points[k].x), px(points[k].y)); };
  std::string out = fmt::format("M{}", xy(0));
  for (size_t k = 1; k < points.size(); k += 4) {
    out += fmt::format("L{}", xy(k));
    if (k + 3 < points.size()) out += fmt::format("C{} {} {}", xy(k + 1), xy(k + 2), xy(k + 3));
  }
  return out;
}

void Drawing::draw_edge(size_t e) {
  const PictureEdge& edge = picture_.edges[e];
  const auto& route = layout_.routes[e];
  out_ += fmt::format("<path class=\"forward\" d=\"{}\" marker-end=\"url(#tip)\"/>\n",
                      path_of(route, back(edge) ? -kPair : 0, false, 7));
  if (!back(edge)) return;
  const bool flows = edge.backward == Backward::flows;
  out_ +=
      fmt::format("<path class=\"{}\" d=\"{}\" marker-end=\"url(#{})\"/>\n", flows ? "backward" : "blocked",
                  path_of(route, kPair, true, flows ? 7 : 5), flows ? "backtip" : "tee");
}

void Drawing::draw_words(size_t e, GraphLabels& labels) {
  const std::vector<Line> words = words_at(picture_.edges[e]);
  if (words.empty()) return;
  const auto place =
      labels.find(layout_.routes[e], {width_of(words), kLabelLine * static_cast<double>(words.size())});
  const Box& b = place.box;
  const bool on_panel = std::any_of(layout_.panels.begin(), layout_.panels.end(),
                                    [&](const GraphLayout::Panel& p) { return p.box.meets(b); });
  double y = b.top - 3.5;
  for (const Line& line : words) {
    const std::string css = std::string("halo ") + (on_panel ? "inpanel " : "") + line.css;
    y += kLabelLine;
    if (place.side == GraphLabels::Side::right) text(b.left, y, css, line.text, "start");
    if (place.side == GraphLabels::Side::left) text(b.right(), y, css, line.text, "end");
    if (place.side == GraphLabels::Side::above) text(b.centre(), y, css, line.text);
  }
}

std::string Drawing::page() {
  for (const auto& panel : layout_.panels) draw_panel(panel);
  for (size_t e = 0; e < picture_.edges.size(); ++e) draw_edge(e);
  for (size_t i = 0; i < picture_.nodes.size(); ++i) draw_node(i);
  GraphLabels labels(layout_);
  for (size_t e = 0; e < picture_.edges.size(); ++e) draw_words(e, labels);

  const std::string title = escape(picture_.title), summary = escape(picture_.summary());
  const double width = std::max({layout_.width, 1.08 * text_width(picture_.title, 19) + 2 * kSide,
                                 text_width(picture_.summary(), 12.5) + 2 * kSide, 480.0});
  double y = kHead + layout_.height + 8;
  const std::string signs = legend(picture_, y, width);
  const std::string w = px(width), h = px(y + 26);
  std::string page = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"gradient-path\" role=\"img\" width=\"{0}\" "
      "height=\"{1}\" viewBox=\"0 0 {0} {1}\">\n<title>{2}</title>\n<desc>{3} Values run downwards to the "
      "loss, gradients upwards from it.</desc>\n<style>{4}</style>\n<defs>\n{5}</defs>\n",
      w, h, title, summary, kGraphStyle, kGraphTips);
  page += fmt::format("<rect class=\"page\" width=\"{}\" height=\"{}\"/>\n", w, h);
  page += fmt::format("<text class=\"head\" x=\"{}\" y=\"38\">{}</text>\n", px(kSide), title);
  page += fmt::format("<text class=\"sub\" x=\"{}\" y=\"58\">{}</text>\n", px(kSide), summary);
  page += fmt::format("<g transform=\"translate({},{})\">\n", px((width - layout_.width) / 2), px(kHead));
  return page + out_ + "</g>\n" + signs + "</svg>\n";
}

}  // namespace

std::string to_svg(const GraphPicture& picture) { return Drawing(picture).page(); }

}  // namespace stopgrad
