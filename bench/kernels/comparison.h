#pragma once
// What a call computed against what it should have: the worst share of the tolerance over all outputs.
#include <fmt/format.h>

#include <string>
#include <string_view>

#include "tests/numbers.h"

namespace stopgrad::bench {

class Comparison {
 public:
  Comparison() = default;
  /// Looks at these outputs alone: a library need not leave the others.
  explicit Comparison(std::vector<std::string_view> only) : only_(std::move(only)) {}

  /// For a sum whose terms ours adds in a tree and a library perhaps one after the other: then as
  /// test::tolerance_of_sequence has it.
  template <class T>
  test::Tolerance<T> sum(const test::Tolerance<T>& tree) const {
    return only_.empty() ? tree : test::Tolerance<T>{tree.length * tree.length, tree.scale / 4};
  }

  /// got[i] against want(i) for i = 0, step, 2 step, ...
  template <class T, class F>
  void close(const char* output, const T* got, int64_t count, F want, const test::Tolerance<T>& tolerance,
             int64_t step = 1) {
    if (!looks_at(output)) return;
    for (int64_t i = 0; i < count; i += step) {
      const double wanted = want(i);
      within(output, i, test::to_double(got[i]), wanted, tolerance.at(wanted));
    }
  }
  /// One element, with a tolerance of its own.
  void within(const char* output, int64_t i, double got, double want, double tolerance) {
    const double share = std::abs(got - want) / tolerance;
    if (!(share <= 1)) wrong(output, i, got, want, share);
    else worst_ = std::max(worst_, share);
  }
  /// got[i] is the very number want(i).
  template <class T, class F>
  void equal(const char* output, const T* got, int64_t count, F want, int64_t step = 1) {
    if (!looks_at(output)) return;
    for (int64_t i = 0; i < count; i += step)
      if (!(test::to_double(got[i]) == want(i))) wrong(output, i, test::to_double(got[i]), want(i), INFINITY);
  }
  /// For large outputs of which only a sample is compared: no element was left unwritten.
  template <class T>
  void written(const char* output, const T* got, int64_t count) {
    if (!looks_at(output)) return;
    for (int64_t i = 0; i < count; ++i)
      if (std::isnan(test::to_double(got[i]))) return wrong(output, i, NAN, NAN, INFINITY);
  }
  void fail(const std::string& why) {
    if (why_.empty()) why_ = why;
  }

  /// Empty when everything agrees; else the first disagreement.
  const std::string& why() const { return why_; }
  /// Largest share of a tolerance that was used.
  double worst() const { return worst_; }

 private:
  void wrong(const char* output, int64_t i, double got, double want, double share) {
    if (std::isnan(got)) return fail(fmt::format("{}[{}] is NaN or was not written", output, i));
    fail(fmt::format("{}[{}] is {:.9g} and should be {:.9g}: {:.3g} times the tolerance", output, i, got,
                     want, share));
  }

  bool looks_at(const char* output) const {
    return only_.empty() || std::find(only_.begin(), only_.end(), output) != only_.end();
  }

  std::vector<std::string_view> only_;
  std::string why_;
  double worst_ = 0;
};

/// The step that compares about `most` elements of `count`; odd, so that it visits all channels.
inline int64_t sample_step(int64_t count, int64_t most) { return count <= most ? 1 : (count / most) | 1; }

}  // namespace stopgrad::bench
