#pragma once
// The tape as its picture sees it: scopes, where a gradient arrives, and which entries share a box.
#include <string>
#include <vector>

#include "engine/graph/view.h"

namespace stopgrad {

/// "view 2/encoder/conv1" is {2, "encoder/conv1"}; without a view {0, the scope}.
struct Place {
  int view = 0;
  std::string inside;
};
Place place_of(const std::string& scope);
/// The first `depth` names of a path; empty if it has fewer, or for depth 0.
std::string head(const std::string& path, int depth);

bool is_leaf(const TapeEntry& entry);
bool is_part(const TapeEntry& entry);        // rows, reshape
bool is_similarity(const TapeEntry& entry);  // inputs are p and z of one term after the other

/// All terms of the loss, or one.
struct Walk {
  struct Input {
    int entry;  // -1: not on the tape
    int term;   // 1, 2, ... where a loss with several terms reads, else 0
  };
  Walk(const Tape& tape, int term);
  /// What runs from `consumer` back to `producer`.
  PictureEdge::Backward backward(int producer, int consumer) const;

  const std::vector<TapeEntry>& entries;
  std::vector<std::vector<Input>> inputs;
  std::vector<bool> kept;      // leads to the chosen term
  std::vector<bool> gradient;  // arrives, or would arrive
  int loss = 0;
  bool ran = false, measured = false;

 private:
  void find_loss();
  void choose_inputs(int term);
  void follow_gradient(bool one_term);
};

/// For every entry one that stands for its box. A box is a stretch of the tape in one scope, hence boxes make
/// no cycles; what is not connected within the stretch (two uses in a row) is two boxes. Walls and leaves
/// stand alone, and so does what lies less than `depth` scopes deep.
std::vector<int> boxes_of(const Walk& walk, int depth);

}  // namespace stopgrad
