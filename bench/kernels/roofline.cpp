// The roofline chart: who knows NVIDIA's profiler knows it. One mark per kernel; the roofs are measured.
#include <algorithm>

#include "bench/kernels/session.h"
#include "tools/view/axis.h"
#include "tools/view/style.h"

namespace stopgrad::bench {
namespace {

using view::Axis, view::Svg;

constexpr double kWidth = 860, kHeight = 560, kLeft = 78, kRight = 24, kBottom = 118;

/// As many kinds of calls as there are colours and markers.
constexpr const char* kKinds[view::styles] = {"batch norm", "convolutions",     "products",
                                              "losses",     "maps and updates", "other"};
size_t kind_of(const std::string& name) {
  const auto has = [&name](const char* part) { return name.find(part) != std::string::npos; };
  if (has("batch_norm")) return 0;
  if (has("conv2d")) return 1;
  if (has("gemm")) return 2;
  if (has("cosine_loss") || has("softmax") || has("cross_entropy")) return 3;
  for (const char* map :
       {"add", "accumulate", "scale", "relu_", "cast", "fill", "sgd", "lars", "moving_average"})
    if (has((std::string("BM_") + map).c_str())) return 4;
  return 5;
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
  for (const Result& r : results) {
    if (!(r.work.operations > 0)) continue;
    xs.push_back(r.work.operations / r.work.bytes);
    ys.push_back(r.work.operations / r.measured.ours.median);
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
    const size_t kind = kind_of(r.name);
    const double x = plot.at_x(r.work.operations / r.work.bytes);
    const double y = plot.at_y(r.work.operations / r.measured.ours.median);
    svg.open("g", {{"class", view::style_class(kind)}});
    svg.path(r.type == "bf16" ? "dense" : "marks", view::marker(kind, x, y));
    svg.close();
  }
  std::vector<view::LegendEntry> legend;
  for (size_t i = 0; i < view::styles; ++i) legend.push_back({view::Sample::points, i, kKinds[i]});
  view::draw_legend(svg, legend, kLeft, kHeight - kBottom + 48, kWidth - kLeft - kRight);
  return svg.finish();
}

}  // namespace stopgrad::bench
