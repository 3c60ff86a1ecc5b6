#include <nlohmann/json.hpp>

#include "engine/graph/index.h"
#include "engine/graph/walk.h"

namespace stopgrad {

namespace {

using Kind = PictureNode::Kind;
using Backward = PictureEdge::Backward;

const char* name_of(Kind kind) {
  switch (kind) {
    case Kind::operation:
      return "operation";
    case Kind::module:
      return "module";
    case Kind::part:
      return "part";
    case Kind::input:
      return "input";
    case Kind::constant:
      return "constant";
    case Kind::parameter:
      return "parameter";
    case Kind::wall:
      return "wall";
    case Kind::loss:
      return "loss";
  }
  return "";
}

const char* name_of(Backward backward) {
  switch (backward) {
    case Backward::nothing:
      return "none";
    case Backward::flows:
      return "flows";
    case Backward::blocked:
      return "blocked";
  }
  return "";
}

/// For a quoted string of DOT: only quotes and backslashes mean something there.
std::string quote(const std::string& text) {
  std::string out = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + "\"";
}

std::string dot_node(const GraphPicture& picture, int i) {
  const PictureNode& n = picture.nodes[at(i)];
  std::string label = n.title;
  if (picture.draws_backward) label = (n.gradient ? "● " : "○ ") + label;
  std::string quoted = quote(label);
  quoted.pop_back();
  if (!n.detail.empty()) quoted += "\\n" + quote(n.detail).substr(1);
  else quoted += '"';
  std::string style;
  switch (n.kind) {
    case Kind::wall:
      style = ", shape=octagon, color=\"#cf222e\", fontcolor=\"#a40e26\", penwidth=2.5";
      break;
    case Kind::loss:
      style = ", penwidth=2";
      break;
    case Kind::parameter:
      style = ", color=\"#9a6700\"";
      break;
    case Kind::constant:
      style = ", style=\"rounded,dotted\"";
      break;
    default:
      break;
  }
  return fmt::format("n{} [class=\"{}\", label={}{}];\n", i, name_of(n.kind), quoted, style);
}

std::string dot_edges(const GraphPicture& picture, const PictureEdge& e) {
  std::string out =
      fmt::format("  n{} -> n{} [class=\"forward\", label={}];\n", e.from, e.to, quote(" " + e.shape));
  if (!picture.draws_backward || e.backward == Backward::nothing) return out;
  if (e.backward == Backward::blocked)
    return out + fmt::format(
                     "  n{} -> n{} [class=\"blocked\", label=\" no gradient\", constraint=false, "
                     "style=dashed, arrowhead=tee, color=\"#cf222e\", fontcolor=\"#a40e26\"];\n",
                     e.to, e.from);
  const std::string norm = e.norm ? fmt::format("{}|∇| {:.3g}", e.shape.empty() ? "" : " ", *e.norm) : "";
  return out + fmt::format(
                   "  n{} -> n{} [class=\"backward\", label={}, constraint=false, color=\"#0969da\", "
                   "fontcolor=\"#0550ae\"];\n",
                   e.to, e.from, quote(" " + e.shape + norm));
}

constexpr const char* kDotLegend = R"(  subgraph cluster_legend {
    label="";
    key [shape=plaintext, label="grey: value     blue: gradient     red, dashed, tee: no gradient\n● a gradient arrives     ○ none arrives     octagon: stop-gradient"];
  }
)";

std::string text_line(const Tape& tape, const Walk& walk, int i, size_t name_width) {
  const TapeEntry& e = tape.entries()[at(i)];
  const char* mark = e.wall ? "⊣" : walk.gradient[at(i)] ? "●" : "○";
  std::string what = clean_utf8(e.name) + (e.detail.empty() ? "" : " " + clean_utf8(e.detail));
  std::string from;
  for (int in : e.inputs) from += in < 0 ? " constant" : fmt::format(" #{}", in);
  std::string line =
      fmt::format("  {} {:>4} {:<{}} {:<20}", mark, fmt::format("#{}", i), what, name_width, e.shape);
  if (!from.empty()) line += " <-" + from;
  if (e.wall) line += "   no gradient passes";
  else if (e.got_grad && walk.measured) line += fmt::format("   |∇| {:.3g}", e.grad_norm);
  line.erase(line.find_last_not_of(' ') + 1);
  return line + "\n";
}

}  // namespace

std::string to_text(const Tape& tape) {
  const Walk walk(tape, 0);
  size_t width = 0;
  for (const TapeEntry& e : tape.entries())
    width = std::max(width, std::string(e.name).size() + e.detail.size() + 1);
  std::string out, scope;  // what is recorded before any scope needs no heading
  for (int i = 0; i < static_cast<int>(tape.entries().size()); ++i) {
    const TapeEntry& e = tape.entries()[at(i)];
    if (e.scope != scope) out += (e.scope.empty() ? "outside" : clean_utf8(e.scope)) + "\n";
    scope = e.scope;
    out += text_line(tape, walk, i, width);
  }
  return out + fmt::format("● a gradient {}   ○ none   ⊣ a wall\n", walk.ran ? "arrived" : "will arrive");
}

std::string to_dot(const GraphPicture& picture) {
  std::string out = "digraph gradient_path {\n";
  out += "  label=" + quote(picture.title) + ";\n  labelloc=t;\n";
  out += "  node [shape=box, style=rounded, fontname=\"Helvetica\", fontsize=12];\n";
  out += "  edge [color=\"#818b98\", fontcolor=\"#59636e\", fontname=\"Helvetica\", fontsize=10];\n";
  for (int view = 1; view <= picture.views; ++view) {
    out +=
        fmt::format("  subgraph cluster_view{0} {{\n    label=\"view {0}\";\n    color=\"#d1d9e0\";\n", view);
    for (int i = 0; i < static_cast<int>(picture.nodes.size()); ++i)
      if (picture.nodes[at(i)].view == view) out += "    " + dot_node(picture, i);
    out += "  }\n";
  }
  for (int i = 0; i < static_cast<int>(picture.nodes.size()); ++i)
    if (picture.nodes[at(i)].view == 0) out += "  " + dot_node(picture, i);
  for (const PictureEdge& e : picture.edges) out += dot_edges(picture, e);
  return out + kDotLegend + "}\n";
}

std::string to_json(const GraphPicture& picture) {
  using Json = nlohmann::ordered_json;
  auto norm = [](const std::optional<double>& x) { return x ? Json(*x) : Json(); };
  Json out{{"title", picture.title},      {"summary", picture.summary()},       {"views", picture.views},
           {"backward_ran", picture.ran}, {"norms_measured", picture.measured}, {"nodes", Json::array()},
           {"edges", Json::array()}};
  for (size_t i = 0; i < picture.nodes.size(); ++i) {
    const PictureNode& n = picture.nodes[i];
    out["nodes"].push_back({{"id", i},
                            {"kind", name_of(n.kind)},
                            {"title", n.title},
                            {"detail", n.detail},
                            {"view", n.view},
                            {"scope", n.scope},
                            {"entries", n.entries},
                            {"gradient", n.gradient},
                            {"norm", norm(n.norm)}});
  }
  for (const PictureEdge& e : picture.edges)
    out["edges"].push_back({{"from", e.from},
                            {"to", e.to},
                            {"shape", e.shape},
                            {"term", e.term},
                            {"backward", picture.draws_backward ? name_of(e.backward) : "not drawn"},
                            {"norm", picture.draws_backward ? norm(e.norm) : Json()}});
  return out.dump(2) + "\n";
}

}  // namespace stopgrad
