#include "engine/graph/walk.h"

#include <charconv>
#include <numeric>

#include "engine/graph/index.h"

namespace stopgrad {

bool is_leaf(const TapeEntry& e) { return e.inputs.empty(); }
bool is_part(const TapeEntry& e) { return std::string("rows") == e.name || std::string("reshape") == e.name; }
bool is_similarity(const TapeEntry& e) {
  return std::string("cosine_loss") == e.name || std::string("softmax_similarity") == e.name;
}

Place place_of(const std::string& scope) {
  const std::string word = "view ";
  const size_t end = std::min(scope.find('/'), scope.size());
  int view = 0;
  if (scope.compare(0, word.size(), word) != 0) return {0, scope};
  const auto [stop, error] = std::from_chars(scope.data() + word.size(), scope.data() + end, view);
  if (error != std::errc() || stop != scope.data() + end || view < 1) return {0, scope};
  return {view, end < scope.size() ? scope.substr(end + 1) : ""};
}

std::string head(const std::string& path, int depth) {
  if (depth < 1 || path.empty()) return {};
  size_t end = 0;
  for (int i = 0; i < depth; ++i) {
    if (end == std::string::npos) return {};
    end = path.find('/', i == 0 ? 0 : end + 1);
  }
  return path.substr(0, end);
}

Walk::Walk(const Tape& tape, int term) : entries(tape.entries()) {
  ENSURE(!entries.empty(), "graph: the tape is empty; record a step on a tape that is on");
  for (size_t i = 0; i < entries.size(); ++i) {
    const TapeEntry& e = entries[i];
    ran |= e.got_grad;
    measured |= e.got_grad && e.grad_norm != 0;
  }
  find_loss();
  choose_inputs(term);
  follow_gradient(term != 0);
}

/// Backward starts from the last entry that has a gradient; before it, from the last single number.
void Walk::find_loss() {
  loss = static_cast<int>(entries.size()) - 1;
  for (size_t i = 0; i < entries.size(); ++i) {
    const TapeEntry& e = entries[i];
    if (ran ? e.got_grad : (e.shape.count() == 1 && !is_leaf(e))) loss = static_cast<int>(i);
  }
}

void Walk::choose_inputs(int term) {
  int terms = 0;
  for (const TapeEntry& e : entries) terms += is_similarity(e) ? static_cast<int>(e.inputs.size()) / 2 : 0;
  if (term < 0 || term > terms) fail(Exit::usage, "graph: no term {}; the loss has {}", term, terms);
  std::vector<bool> dropped(entries.size(), false);
  int before = 0;  // terms of the losses so far
  for (size_t i = 0; i < entries.size(); ++i) {
    const TapeEntry& e = entries[i];
    auto& mine = inputs.emplace_back();
    for (size_t k = 0; k < e.inputs.size(); ++k) {
      const int here = is_similarity(e) ? before + static_cast<int>(k) / 2 + 1 : 0;
      const bool gone = e.inputs[k] >= 0 && dropped[at(e.inputs[k])];
      if (gone || (term && here && here != term)) continue;
      mine.push_back({e.inputs[k], terms > 1 ? here : 0});
    }
    dropped[i] = mine.empty() && !is_leaf(e);
    before += is_similarity(e) ? static_cast<int>(e.inputs.size()) / 2 : 0;
  }
  kept.assign(entries.size(), term == 0);
  kept[at(loss)] = true;
  for (int i = loss; i >= 0 && term != 0; --i)
    if (kept[at(i)])
      for (const Input& in : inputs[at(i)])
        if (in.entry >= 0) kept[at(in.entry)] = true;
}

/// After backward the entries say where a gradient arrived. Before it, or for one term alone, follow it.
void Walk::follow_gradient(bool one_term) {
  const bool known = ran && !one_term;
  gradient.assign(entries.size(), false);
  for (size_t i = 0; i < entries.size(); ++i) gradient[i] = known && entries[i].got_grad;
  if (!known) gradient[at(loss)] = entries[at(loss)].wants_grad;
  for (int i = loss; i >= 0; --i) {
    const TapeEntry& e = entries[at(i)];
    // A part of a part writes into the whole and leaves no mark on the part between.
    if (!gradient[at(i)] || e.wall || (known && !is_part(e))) continue;
    for (const Input& in : inputs[at(i)])
      if (in.entry >= 0 && entries[at(in.entry)].wants_grad) gradient[at(in.entry)] = true;
  }
}

PictureEdge::Backward Walk::backward(int producer, int consumer) const {
  if (!gradient[at(consumer)] || entries[at(consumer)].wall) return PictureEdge::Backward::nothing;
  if (entries[at(producer)].wall) return PictureEdge::Backward::blocked;
  return entries[at(producer)].wants_grad ? PictureEdge::Backward::flows : PictureEdge::Backward::nothing;
}

std::vector<int> boxes_of(const Walk& walk, int depth) {
  std::vector<int> parent(walk.entries.size()), stretch(walk.entries.size(), -1);
  std::iota(parent.begin(), parent.end(), 0);
  auto root = [&](int i) {
    while (parent[at(i)] != i) i = parent[at(i)];
    return i;
  };
  std::string current;
  int count = 0;
  for (size_t i = 0; i < walk.entries.size(); ++i) {
    const TapeEntry& e = walk.entries[i];
    if (is_leaf(e) || !walk.kept[i]) continue;
    const Place place = place_of(e.scope);
    const std::string inside = e.wall ? "" : head(place.inside, depth);
    const std::string key = inside.empty() ? "" : fmt::format("{}/{}", place.view, inside);
    count += key != current;
    current = key;
    if (key.empty()) continue;
    stretch[i] = count;
    for (const Walk::Input& in : walk.inputs[i])
      if (in.entry >= 0 && stretch[at(in.entry)] == count)
        parent[at(root(in.entry))] = root(static_cast<int>(i));
  }
  for (size_t i = 0; i < parent.size(); ++i) parent[i] = root(static_cast<int>(i));
  return parent;
}

}  // namespace stopgrad
