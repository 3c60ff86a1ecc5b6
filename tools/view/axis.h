#pragma once
// An axis: the range it shows, where its ticks are and how they read.
#include <string>
#include <utility>
#include <vector>

namespace stopgrad::view {

/// Values beyond this magnitude count as infinite: their differences would overflow.
inline constexpr double largest = 1e300;

/// May x be drawn? NaN, infinities and, on a logarithmic axis, everything up to zero are gaps.
bool drawable(double x, bool log = false);

struct Tick {
  double value;
  std::string label;
};

struct Axis {
  double low = 0, high = 1;  // in data units, low < high; both above zero when log
  bool log = false;
  std::vector<Tick> ticks;  // ascending, within [low, high]

  /// 0 at low, 1 at high; linear beyond both.
  double at(double x) const;
};

/// The smallest and largest drawable value; {0, 1} ({1, 10} when log) when there is none.
/// Equal values get room on both sides, so that low < high always.
struct Range {
  double low, high;
};
Range range_of(const std::vector<double>& values, bool log = false);

/// 1-2-5 steps, about `wanted` of them. With `extend` the range grows a little at both ends: to the next full
/// step where that is near, and never across zero.
/// `whole` keeps steps at 1 or more, for axes that count (epochs, images).
Axis linear_axis(Range range, int wanted, bool extend, bool whole = false);

/// Powers of ten, joined by 2 and 5 where the range is short; linear ticks within less than one decade.
Axis log_axis(Range range, int wanted);

/// A value as a label: `digits` significant ones, k M G for thousands, powers of ten as in 2·10⁻⁷.
std::string label_of(double x, int digits = 4);

}  // namespace stopgrad::view
