#include "engine/graph/view.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "engine/graph/index.h"
#include "engine/graph/walk.h"

namespace stopgrad {

namespace {

using Kind = PictureNode::Kind;
using Backward = PictureEdge::Backward;

class Painter {
 public:
  Painter(const Tape& tape, const GraphOptions& options)
      : options_(options), walk_(tape, options.term), node_of_(tape.entries().size(), -1) {
    picture_.title = clean_utf8(options.title);
    picture_.draws_backward = options.backward;
    picture_.ran = walk_.ran;
    picture_.measured = walk_.measured && options.term == 0;
  }

  GraphPicture paint() {
    if (options_.parameters) add_parameters();
    add_leaves();
    add_boxes();
    for (PictureNode& node : picture_.nodes) describe(node);
    add_edges();
    spread_views();
    for (const PictureNode& node : picture_.nodes) picture_.views = std::max(picture_.views, node.view);
    return std::move(picture_);
  }

 private:
  const TapeEntry& entry(int i) const { return walk_.entries[at(i)]; }

  int add_node(Kind kind, const Place& place, std::vector<int> entries) {
    PictureNode node;
    node.kind = kind;
    node.view = place.view;
    node.scope = clean_utf8(place.inside);
    node.entries = std::move(entries);
    const int index = static_cast<int>(picture_.nodes.size());
    for (int e : node.entries) node_of_[at(e)] = index;
    picture_.nodes.push_back(std::move(node));
    return index;
  }

  void add_parameters() {
    std::vector<std::pair<std::string, std::vector<int>>> groups;
    for (size_t i = 0; i < walk_.entries.size(); ++i) {
      const TapeEntry& e = walk_.entries[i];
      if (!e.parameter || !walk_.kept[i]) continue;
      const std::string key = head(place_of(e.scope).inside, options_.collapse_depth);
      auto same = std::find_if(groups.begin(), groups.end(), [&](auto& g) { return g.first == key; });
      if (key.empty() || same == groups.end()) groups.push_back({key, {static_cast<int>(i)}});
      else same->second.push_back(static_cast<int>(i));
    }
    for (auto& [scope, members] : groups) add_node(Kind::parameter, {0, scope}, members);
  }

  void add_leaves() {
    for (size_t i = 0; i < walk_.entries.size(); ++i) {
      const TapeEntry& e = walk_.entries[i];
      if (is_leaf(e) && !e.parameter && walk_.kept[i])
        add_node(Kind::input, place_of(e.scope), {static_cast<int>(i)});
    }
  }

  void add_boxes() {
    const std::vector<int> boxes = boxes_of(walk_, options_.collapse_depth);
    std::map<int, std::vector<int>> members;
    for (int i = 0; i < static_cast<int>(walk_.entries.size()); ++i)
      if (!is_leaf(entry(i)) && walk_.kept[at(i)]) members[boxes[at(i)]].push_back(i);
    std::vector<std::vector<int>> ordered;
    for (auto& [root, list] : members) ordered.push_back(list);
    std::sort(ordered.begin(), ordered.end());
    for (std::vector<int>& list : ordered) {
      const TapeEntry& e = entry(list[0]);
      const bool alone = list.size() == 1;
      Place place = place_of(e.scope);
      if (!alone) place.inside = head(place.inside, options_.collapse_depth);
      const Kind kind = !alone                  ? Kind::module
                        : e.wall                ? Kind::wall
                        : list[0] == walk_.loss ? Kind::loss
                        : is_part(e)            ? Kind::part
                                                : Kind::operation;
      add_constants(list, place);
      add_node(kind, place, list);
    }
  }

  /// A leaf for what a box reads and the tape does not know: one, or one for each term of a loss.
  void add_constants(const std::vector<int>& box, const Place& place) {
    std::map<int, std::string> shapes;  // by term
    for (int i : box)
      for (const Walk::Input& in : walk_.inputs[at(i)])
        if (in.entry < 0) shapes[in.term] = shape_of_constant(i);
    const int reader = static_cast<int>(picture_.nodes.size() + shapes.size());
    for (auto& [term, shape] : shapes)
      picture_.edges.push_back({add_node(Kind::constant, {place.view, ""}, {}), reader, shape, term});
  }

  /// A wall and both sides of a similarity have one shape, so a constant among them is known too.
  std::string shape_of_constant(int i) const {
    if (entry(i).wall) return entry(i).shape.str();
    if (!is_similarity(entry(i))) return {};
    for (const Walk::Input& in : walk_.inputs[at(i)])
      if (in.entry >= 0) return entry(in.entry).shape.str();
    return {};
  }

  void describe(PictureNode& node) const {
    for (int i : node.entries) node.gradient = node.gradient || walk_.gradient[at(i)];
    const size_t count = node.entries.size();
    if (node.kind == Kind::constant) {
      node.title = "constant";
      node.detail = "not on the tape";
    } else if (node.kind == Kind::parameter) {
      const Parameter& first = *entry(node.entries[0]).parameter;
      node.title = count > 1 ? node.scope : clean_utf8(first.name);
      node.detail = count > 1 ? parameters_in(node.entries) : first.shape.str();
    } else if (node.kind == Kind::module) {
      node.title = node.scope;
      node.detail = fmt::format("{} operations", count);
      std::set<int> leaves;
      for (int i : node.entries)
        for (const Walk::Input& in : walk_.inputs[at(i)])
          if (in.entry >= 0 && entry(in.entry).parameter) leaves.insert(in.entry);
      if (!options_.parameters && !leaves.empty())
        node.detail += ", " + parameters_in({leaves.begin(), leaves.end()});
    } else {
      node.title = node.kind == Kind::wall ? "detach ⊣" : clean_utf8(entry(node.entries[0]).name);
      node.detail = clean_utf8(entry(node.entries[0]).detail);
      node.detail.erase(0, node.detail.find_first_not_of(' '));
    }
    node.norm = norm_of(node);
  }

  std::string parameters_in(const std::vector<int>& leaves) const {
    int64_t total = 0;
    bool frozen = true;
    for (int i : leaves) {
      total += entry(i).shape.count();
      frozen = frozen && !entry(i).wants_grad;
    }
    return short_count(total) + (frozen ? " frozen parameters" : " parameters");
  }

  std::optional<double> norm_of(const PictureNode& node) const {
    if (!picture_.measured || node.entries.empty()) return {};
    if (node.kind != Kind::parameter) return norm_of(node.entries.back());
    double squares = 0;
    for (int i : node.entries) squares += entry(i).grad_norm * entry(i).grad_norm;
    return node.gradient ? std::optional(std::sqrt(squares)) : std::nullopt;
  }

  /// A part is a window on the whole's gradient, so what reads the whole and was recorded later is in the
  /// part's norm as well: then it is not the part's own.
  std::optional<double> norm_of(int i) const {
    if (!picture_.measured || !entry(i).got_grad) return {};
    int whole = i;
    while (is_part(entry(whole)) && entry(whole).inputs[0] >= 0) whole = entry(whole).inputs[0];
    for (int later = i + 1; whole != i && later <= walk_.loss; ++later)
      for (const Walk::Input& in : walk_.inputs[at(later)])
        if (in.entry == whole && !is_part(entry(later)) && walk_.gradient[at(later)]) return {};
    return entry(i).grad_norm;
  }

  void add_edges();
  void spread_views();

  const GraphOptions& options_;
  const Walk walk_;
  std::vector<int> node_of_;  // by entry; -1: not drawn
  GraphPicture picture_;
};

/// Values used twice in one box make one edge, and so do all parameters of one node.
void Painter::add_edges() {
  struct Key {
    int node, entry, to, term;
    auto operator<=>(const Key&) const = default;
  };
  std::map<Key, size_t> known;
  std::map<std::pair<int, int>, int> flows;  // gradients that are added, by (node, entry)
  std::vector<std::pair<int, int>> source(picture_.edges.size(), {-1, -1});
  for (int i = 0; i < static_cast<int>(walk_.entries.size()); ++i)
    for (const Walk::Input& in : walk_.inputs[at(i)]) {
      if (in.entry < 0 || node_of_[at(i)] < 0) continue;
      const int from = node_of_[at(in.entry)], to = node_of_[at(i)];
      if (from < 0 || from == to) continue;
      const PictureNode& producer = picture_.nodes[at(from)];
      const bool group = producer.kind == Kind::parameter;
      const Key key{from, group ? -1 : in.entry, to, in.term};
      auto [place, fresh] = known.try_emplace(key, picture_.edges.size());
      if (fresh) {
        const bool single = producer.entries.size() == 1 || !group;
        picture_.edges.push_back({from, to, single ? entry(in.entry).shape.str() : "", in.term});
        source.emplace_back(from, key.entry);
      }
      PictureEdge& edge = picture_.edges[place->second];
      const Backward what = walk_.backward(in.entry, i);
      if (what == Backward::flows && edge.backward != Backward::flows) ++flows[{from, key.entry}];
      if (edge.backward != Backward::flows && what != Backward::nothing) edge.backward = what;
    }
  for (size_t i = 0; i < picture_.edges.size(); ++i) {
    PictureEdge& edge = picture_.edges[i];
    if (edge.backward != Backward::flows || flows[source[i]] != 1) continue;
    edge.norm = source[i].second >= 0 ? norm_of(source[i].second) : picture_.nodes[at(edge.from)].norm;
  }
}

/// What is recorded outside any view belongs to a view if all that it reads, or all that reads it, does.
void Painter::spread_views() {
  const int count = static_cast<int>(picture_.nodes.size());
  auto join = [&](int i, bool readers) {
    PictureNode& node = picture_.nodes[at(i)];
    std::set<int> seen;
    for (const PictureEdge& e : picture_.edges) {
      const PictureNode& other = picture_.nodes[at(readers ? e.to : e.from)];
      if ((readers ? e.from : e.to) == i && other.kind != Kind::parameter) seen.insert(other.view);
    }
    const bool bound = node.view > 0 || node.kind == Kind::loss || node.kind == Kind::parameter;
    if (!bound && seen.size() == 1) node.view = *seen.begin();
  };
  for (int i = 0; i < count; ++i) join(i, false);
  for (int i = count - 1; i >= 0; --i) join(i, true);
}

}  // namespace

std::string clean_utf8(const std::string& text) {
  static constexpr uint32_t kSmallest[] = {0, 0x20, 0x80, 0x800, 0x10000};  // by length: no longer form
  std::string out;
  for (size_t i = 0; i < text.size();) {
    const auto byte = static_cast<unsigned char>(text[i]);
    const size_t length = byte < 0x80       ? 1
                          : byte >> 5 == 6  ? 2
                          : byte >> 4 == 14 ? 3
                          : byte >> 3 == 30 ? 4
                                            : 0;
    uint32_t code = length < 2 ? byte : byte & (0x7fu >> length);
    bool good = length > 0 && i + length <= text.size();
    for (size_t k = 1; good && k < length; ++k) {
      good = (static_cast<unsigned char>(text[i + k]) & 0xc0) == 0x80;
      code = code << 6 | (static_cast<unsigned char>(text[i + k]) & 0x3f);
    }
    good = good && code >= kSmallest[length] && code != 0x7f && code >> 11 != 0x1b && code <= 0x10ffff &&
           (code & 0xfffe) != 0xfffe;
    if (good) out.append(text, i, length);
    else out += '?';
    i += good ? length : 1;
  }
  return out;
}

std::string GraphPicture::summary() const {
  int walls = 0, boxes = 0, reached = 0;
  for (const PictureNode& n : nodes) {
    walls += n.kind == Kind::wall;
    if (n.kind == Kind::wall || n.kind == Kind::constant || (n.kind == Kind::input && !n.gradient)) continue;
    ++boxes;
    reached += n.gradient;
  }
  return fmt::format("The gradient {} {} of {} boxes; {}.", ran ? "reached" : "would reach", reached, boxes,
                     walls == 0   ? "there is no wall"
                     : walls == 1 ? "1 wall stops it"
                                  : fmt::format("{} walls stop it", walls));
}

GraphPicture make_picture(const Tape& tape, const GraphOptions& options) {
  return Painter(tape, options).paint();
}

}  // namespace stopgrad
