#pragma once
// The picture of the gradient path: what a tape recorded, which way the gradient went, and where a wall
// stopped it. One walk over the tape makes plain data; DOT, JSON and SVG only render that data.
#include <optional>
#include <string>
#include <vector>

#include "engine/tape.h"

namespace stopgrad {

struct GraphOptions {
  bool backward = true;     // the gradient's way beside the value's
  bool parameters = false;  // parameters, folded like the boxes; drawn once, however many views use them
  /// Scopes of this depth below the view become one box per use: at 1, "view 2/encoder/layer1.0" is part of
  /// the box "encoder" of view 2; at 2 a box of its own. 0: every entry is a box.
  int collapse_depth = 1;
  /// 1, 2, ...: only this direction of the similarity losses, as if the others had not been written down.
  /// Its gradient was not measured alone, so no norms are shown. 0: all.
  int term = 0;
  std::string title = "Where the gradient goes";
};

struct PictureNode {
  enum class Kind {
    operation,  // one entry
    module,     // all entries of one use of a scope
    part,       // another name for a part of its input's memory (rows, reshape)
    input,      // a leaf
    constant,   // an input that the tape does not know
    parameter,  // one parameter, or all of one scope
    wall,
    loss,
  };
  Kind kind = Kind::operation;
  std::string title, detail;
  std::string scope;         // without the view
  int view = 0;              // 1, 2, ...; 0: belongs to no single view
  std::vector<int> entries;  // of the tape, ascending; empty for a constant
  bool gradient = false;     // whether a gradient arrives
  /// Of the gradient of what the node puts out (of a scope's parameters: of all together), if measured.
  std::optional<double> norm;
};

struct PictureEdge {
  /// What travels from `to` to `from` in the backward pass.
  enum class Backward {
    nothing,  // nobody asked for it
    flows,
    blocked,  // `from` is a wall: `to` would have sent a gradient
  };
  int from = 0, to = 0;  // nodes, in the direction of the values
  std::string shape;     // of the value and of its gradient; empty where several values travel
  int term = 0;          // 1, 2, ...: direction of a similarity loss that reads this value
  Backward backward = Backward::nothing;
  std::optional<double> norm;  // of this gradient: known where it is not one of several that are added
};

struct GraphPicture {
  std::string title;
  std::vector<PictureNode> nodes;  // producers before consumers
  std::vector<PictureEdge> edges;
  int views = 0;  // highest view; 0: none is named (the scopes do not begin with "view <n>")
  bool draws_backward = true;
  bool ran = false;       // backward has run: the gradient's way is what happened. Else: what would happen.
  bool measured = false;  // norms are known
  /// One sentence: walls, boxes that the gradient reaches, boxes that it does not.
  std::string summary() const;
};

/// Reads the entries only, before or after backward. Throws Error(Exit::usage) for a term that does not
/// exist and Error(Exit::failed) for an empty tape.
GraphPicture make_picture(const Tape& tape, const GraphOptions& options = {});

/// Valid UTF-8 without control characters; what is neither becomes "?".
std::string clean_utf8(const std::string& text);

/// Every entry on a line, under its scope, with a mark for the gradient: UTF-8, for terminals.
std::string to_text(const Tape& tape);
/// For Graphviz. Forward edges run from producer to consumer, backward edges (class="backward") the other
/// way; a blocked one (class="blocked") ends at the wall.
std::string to_dot(const GraphPicture& picture);
std::string to_json(const GraphPicture& picture);
/// A page of its own, light or dark as the reader's system is; needs no fonts, scripts or network.
std::string to_svg(const GraphPicture& picture);

}  // namespace stopgrad
