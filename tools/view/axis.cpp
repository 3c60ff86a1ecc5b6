#include "tools/view/axis.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "kernels/check.h"
#include "tools/view/svg.h"

namespace stopgrad::view {
namespace {

constexpr const char* minus = "−";

// The decimal exponent, read from the digits: log10 may round across a power of ten.
int exponent_of(double x) {
  const std::string digits = fmt::format("{:.16e}", x);
  return std::stoi(digits.substr(digits.find('e') + 1));
}

// Steps of the form 1, 2 or 5 times a power of ten, the smallest that is at least `least`.
double round_step(double least) {
  const double power = std::pow(10.0, exponent_of(least));
  for (double m : {1.0, 2.0, 5.0})
    if (m * power >= least * (1 - 1e-9)) return m * power;
  return 10 * power;
}

std::string superscript(int exponent) {
  static constexpr std::array<const char*, 10> digits{"⁰", "¹", "²", "³", "⁴", "⁵", "⁶", "⁷", "⁸", "⁹"};
  std::string out = exponent < 0 ? "⁻" : "";
  for (char c : std::to_string(std::abs(exponent))) out += digits[c - '0'];
  return out;
}

std::string power_label(double x, int digits) {
  int exponent = exponent_of(x);
  std::string mantissa = number(std::abs(x) / std::pow(10.0, exponent), digits - 1);
  if (mantissa == "10") mantissa = "1", ++exponent;
  const std::string power = "10" + superscript(exponent);
  return (x < 0 ? minus : "") + (mantissa == "1" ? power : mantissa + "·" + power);
}

std::string plain(double x, int decimals) {
  const std::string text = fmt::format("{:.{}f}", std::abs(x), decimals);
  const bool zero = text.find_first_not_of("0.") == std::string::npos;
  return (x < 0 && !zero ? minus : "") + text;
}

struct Unit {
  double size;
  const char* name;
};
constexpr std::array<Unit, 4> units{{{1e9, "G"}, {1e6, "M"}, {1e3, "k"}, {1, ""}}};

// One form for all ticks of an axis: the same unit and the same decimals, as many as the step needs.
std::vector<std::string> tick_labels(const std::vector<double>& values, double step) {
  double top = 0;
  for (double v : values) top = std::max(top, std::abs(v));
  const auto decimals = [&](double unit) { return std::max(0, -exponent_of(step / unit * (1 + 1e-9))); };
  std::vector<std::string> out;
  const int digits = top > 0 ? exponent_of(top) - exponent_of(step) + 1 : 1;
  if (top >= 1e12 || top < 1e-4) {
    for (double v : values) out.push_back(v == 0 ? "0" : power_label(v, std::clamp(digits, 1, 17)));
    return out;
  }
  const Unit* unit = &units.back();
  if (top >= 1e4)
    for (const Unit& u : units)
      if (top >= u.size && decimals(u.size) <= 1) {
        unit = &u;
        break;
      }
  for (double v : values)
    out.push_back(v == 0 ? "0" : plain(v / unit->size, decimals(unit->size)) + unit->name);
  return out;
}

std::vector<Tick> linear_ticks(double low, double high, double step) {
  std::vector<double> values;
  const double slack = 1e-9 * step;
  for (double k = std::ceil((low - slack) / step); k * step <= high + slack; ++k)
    values.push_back(k == 0 ? 0 : std::clamp(k * step, low, high));
  std::vector<Tick> out;
  const std::vector<std::string> labels = tick_labels(values, step);
  for (size_t i = 0; i < values.size(); ++i) out.push_back({values[i], labels[i]});
  return out;
}

double step_for(Range r, int wanted, bool whole) {
  const double step = round_step((r.high - r.low) / wanted);
  return whole ? std::max(step, 1.0) : step;
}

// The upper end of an axis that shows values up to `high`.
double beyond(double high, double step, Range range) {
  const double full = std::ceil(high / step - 1e-9) * step;
  if (full - high <= 0.4 * step) return full == 0 ? 0 : full;
  const double air = high + 0.05 * (range.high - range.low);
  return high <= 0 ? std::min(air, 0.0) : air;
}

}  // namespace

bool drawable(double x, bool log) { return std::abs(x) <= largest && (!log || x >= 1 / largest); }

double Axis::at(double x) const {
  if (log) return (std::log10(x) - std::log10(low)) / (std::log10(high) - std::log10(low));
  return (x - low) / (high - low);
}

Range range_of(const std::vector<double>& values, bool log) {
  Range r{INFINITY, -INFINITY};
  for (double v : values)
    if (drawable(v, log)) r = {std::min(r.low, v), std::max(r.high, v)};
  if (r.low > r.high) return log ? Range{1, 10} : Range{0, 1};
  if (log) return r.high > r.low * (1 + 1e-9) ? r : Range{r.low / 2, r.high * 2};
  const double size = std::max(std::abs(r.low), std::abs(r.high));
  if (r.high - r.low > 1e-12 * size && r.high - r.low > 1 / largest) return r;
  const double room = size > 1 / largest ? size / 2 : 1;
  return {r.low - room, r.high + room};
}

Axis linear_axis(Range range, int wanted, bool extend, bool whole) {
  ENSURE(range.low < range.high, "axis: the range from {} to {} is empty", range.low, range.high);
  const double step = step_for(range, wanted, whole);
  if (extend) range = {-beyond(-range.low, step, range), beyond(range.high, step, range)};
  return {range.low, range.high, false, linear_ticks(range.low, range.high, step)};
}

Axis log_axis(Range range, int wanted) {
  ENSURE(0 < range.low && range.low < range.high, "axis: a logarithm has no range from {} to {}", range.low,
         range.high);
  Axis axis{range.low, range.high, true, {}};
  const int first = exponent_of(range.low), last = exponent_of(range.high);
  const bool powers = range.low < 1e-3 || range.high >= 1e4;  // one form for all labels
  const auto add = [&](double value) {
    if (value < range.low * (1 - 1e-9) || value > range.high * (1 + 1e-9)) return;
    axis.ticks.push_back({value, powers && value != 1 ? power_label(value, 1) : label_of(value, 1)});
  };
  const double decades = std::log10(range.high) - std::log10(range.low);
  const int stride = std::max(1, static_cast<int>(std::ceil(decades / wanted)));
  for (int e = first; e <= last; ++e) {
    if (stride > 1 && e % stride != 0) continue;
    for (double m : {1.0, 2.0, 5.0})
      if (m == 1 || decades <= 2.5) add(m * std::pow(10.0, e));
  }
  if (axis.ticks.size() < 2) axis.ticks = linear_ticks(range.low, range.high, step_for(range, wanted, false));
  return axis;
}

std::string label_of(double x, int digits) {
  if (std::isnan(x)) return "NaN";
  if (std::isinf(x)) return x > 0 ? "∞" : "−∞";
  if (x == 0) return "0";
  const double size = std::abs(x);
  if (size >= 1e12 || size < 1e-3) return power_label(x, digits);
  const Unit* unit = &units.back();
  if (size >= 1e4)
    for (const Unit& u : units)
      if (size >= u.size) {
        unit = &u;
        break;
      }
  const double scaled = size / unit->size;
  const int decimals = std::clamp(digits - 1 - exponent_of(scaled), 0, 17);
  return (x < 0 ? minus : "") + number(scaled, decimals) + unit->name;
}

}  // namespace stopgrad::view
