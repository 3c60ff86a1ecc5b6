// The roofline chart: who knows NVIDIA's profiler knows it. One mark per kernel; the roofs are measured.
#include <algorithm>

#include "bench/kernels/session.h"
#include "tools/view/axis.h"
#include "tools/view/style.h"

namespace stopgrad::bench {
namespace {

using view::Axis, view::Svg;

constexpr double kWidth = 860, kHeight = 560, kLeft = 78, kRight = 24, kBottom = 118;

/// "batch_norm" of "BM_batch_norm_fwd/cpu/f32/...": one colour and marker each.
std::string family_of(const std::string& name) {
  std::string op = name.substr(3, name.find('/') - 3);
  for (const char* end : {"_fwd", "_bwd", "_bwd_input", "_bwd_weight", "_inference"})
    if (op.ends_with(end)) op.resize(op.size() - std::string_view(end).size());
  return op;
}

struct Plot {
  Axis x, y;
  double top;
  double at_x(double v) const { return kLeft + x.at(v) * (kWidth - kLeft - kRight); }
  double at_y(double v) const { return kHeight - kBottom - y.at(v) * (kHeight - kBottom - top); }

  void draw_axes(Svg& svg) const {
    for (const view::Tick& t : y.ticks) {
      svg.line("grid", kLeft, at_y(t.value), kWidth - kRight, at_y(t.value));
      svg.text("muted", kLeft - 8, at_y(t.value) + 4, "end", t.label);
    }
    for (const view::Tick& t : x.ticks) {
      svg.line("grid", at_x(t.value), top, at_x(t.value), kHeight - kBottom);
      svg.text("muted", at_x(t.value), kHeight - kBottom + 18, "middle", t.label);
    }
    svg.text("label", (kLeft + kWidth - kRight) / 2, kHeight - kBottom + 38, "middle", "operations per byte");
    svg.text("label", kLeft, top - 8, "start", "operations per second");
  }
  /// Bandwidth on the left, where memory rules, then the rate of the matmul.
  void draw_roof(Svg& svg, double copy, double matmul, const char* name) const {
    if (!(matmul > 0)) return;
    const double ridge = std::clamp(matmul / copy, x.low, x.high);
    const double start = std::max(x.low, y.low / copy);
    svg.line("axis", at_x(start), at_y(start * copy), at_x(ridge), at_y(std::min(matmul, ridge * copy)));
    svg.line("axis", at_x(ridge), at_y(matmul), at_x(x.high), at_y(matmul));
    svg.text("note", at_x(x.high) - 6, at_y(matmul) - 6, "end", name);
  }
};

}  // namespace

std::string roofline(const std::vector<Result>& results, const Ceilings& ceilings, const std::string& title) {
  std::vector<double> xs, ys = {ceilings.matmul_f32, ceilings.matmul_bf16};
  std::vector<std::string> families;
  for (const Result& r : results) {
    if (!(r.work.operations > 0)) continue;
    xs.push_back(r.work.operations / r.work.bytes);
    ys.push_back(r.work.operations / r.measured.ours.median);
    if (std::find(families.begin(), families.end(), family_of(r.name)) == families.end())
      families.push_back(family_of(r.name));
  }
  const auto wide = [](view::Range r) { return view::Range{r.low / 1.6, r.high * 1.6}; };
  Svg svg(kWidth, kHeight, title,
          "Every kernel by its operations per byte and its operations per second, under the measured copy "
          "bandwidth and matmul rates.");
  const double top = view::draw_title(svg, title, 16, kWidth - 32) + 30;
  const Plot plot{view::log_axis(wide(view::range_of(xs, true)), 8),
                  view::log_axis(wide(view::range_of(ys, true)), 8), top};
  plot.draw_axes(svg);
  plot.draw_roof(svg, ceilings.copy, ceilings.matmul_bf16, "matmul, bf16");
  plot.draw_roof(svg, ceilings.copy, ceilings.matmul_f32, "matmul, float32");
  svg.text("note", plot.at_x(plot.x.low) + 6, top + 12, "start",
           fmt::format("slope: copy at {:.1f} GB/s; filled: float32, thin: bf16", ceilings.copy * 1e-9));
  for (const Result& r : results) {
    if (!(r.work.operations > 0)) continue;
    const auto index =
        size_t(std::find(families.begin(), families.end(), family_of(r.name)) - families.begin());
    const double x = plot.at_x(r.work.operations / r.work.bytes);
    const double y = plot.at_y(r.work.operations / r.measured.ours.median);
    svg.open("g", {{"class", view::style_class(index)}});
    svg.path(r.type == "bf16" ? "dense" : "marks", view::marker(index, x, y, index < view::styles ? 4 : 2.6));
    svg.close();
  }
  std::vector<view::LegendEntry> legend;
  for (size_t i = 0; i < families.size(); ++i) legend.push_back({view::Sample::points, i, families[i]});
  view::draw_legend(svg, legend, kLeft, kHeight - kBottom + 48, kWidth - kLeft - kRight);
  return svg.finish();
}

}  // namespace stopgrad::bench
