#pragma once
// "Did you mean ...?"
#include <algorithm>
#include <numeric>
#include <string>
#include <string_view>
#include <vector>

namespace stopgrad {

/// Insertions, deletions and replacements of one byte that turn a into b (Levenshtein).
inline size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 0; i < a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i + 1;
    for (size_t j = 0; j < b.size(); ++j) {
      const size_t replace = diagonal + (a[i] != b[j]);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replace, row[j] + 1, diagonal + 1});
    }
  }
  return row.back();
}

/// The candidate nearest to a mistyped word, the first of equals; empty when none is near enough to be meant
/// (more than half of the word, and more than two letters, would have to change).
inline std::string nearest_word(std::string_view word, const std::vector<std::string>& candidates) {
  std::string best;
  size_t best_distance = std::max<size_t>(2, word.size() / 2) + 1;
  for (const auto& candidate : candidates) {
    const size_t distance = edit_distance(word, candidate);
    if (distance < best_distance) best = candidate, best_distance = distance;
  }
  return best;
}

/// "did you mean X? " for an error, or nothing.
inline std::string did_you_mean(std::string_view word, const std::vector<std::string>& candidates) {
  const std::string near = nearest_word(word, candidates);
  return near.empty() ? "" : "did you mean '" + near + "'? ";
}

}  // namespace stopgrad
