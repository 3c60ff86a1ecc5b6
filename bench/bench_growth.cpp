// How the cost of a training step grows with batch, width, image side and threads, as SVG pictures and JSON.
//   bench_growth --out docs/growth [--json]    one size changes at a time, the others stay as net b has them
#include <nlohmann/json.hpp>

#include "bench/step/nets.h"
#include "data/synthetic.h"
#include "engine/file.h"
#include "kernels/cpu_features.h"
#include "models/trainer.h"
#include "tools/command_line.h"
#include "tools/view/chart.h"

using namespace stopgrad;
using namespace stopgrad::bench;

namespace {

/// One size that grows. With the others of net b: 64 pairs unless the batch itself grows.
struct Growth {
  const char *file, *title, *x_label;
  std::vector<int64_t> sizes;
  void (*apply)(Net& net, int64_t size);
};

const std::vector<Growth> kGrowths = {
    {"batch",
     "Net b by batch",
     "pairs",
     {16, 32, 64, 128, 256},
     [](Net& n, int64_t s) { n.recipe.batch = s; }},
    {"width",
     "Net b by width, 64 pairs",
     "channels of the first stage",
     {8, 16, 32, 64},
     [](Net& n, int64_t s) {
       n.recipe.widths = {s, 2 * s, 4 * s, 8 * s};
     }},
    {"side",
     "Net b by image side, 64 pairs",
     "pixels",
     {16, 28, 40, 56, 64},
     [](Net& n, int64_t s) { n.images.height = n.images.width = static_cast<int>(s); }},
    {"threads",
     "Net b by threads, 64 pairs",
     "threads",
     {1, 2, 4, 8, 16},
     [](Net& n, int64_t s) { n.recipe.threads = s; }},
};

double median(std::vector<double> v) {
  std::nth_element(v.begin(), v.begin() + static_cast<std::ptrdiff_t>(v.size() / 2), v.end());
  return v[v.size() / 2];
}

/// Milliseconds per step, views included: the median of `steps` after two to warm up.
double step_milliseconds(const Growth& growth, int64_t size, const std::string& precision, int steps) {
  Net net = net_of("b", 64);
  net.recipe.precision = precision;
  growth.apply(net, size);
  const Dataset set = make_synthetic(net.set_size, net.images.height, net.images.channels, 1, Split::train);
  Model model(net.recipe, net.images);
  Trainer trainer(model, set, nullptr, "");
  std::vector<double> seconds;
  TrainerEvents events;
  events.step = [&](const StepReport& report) {
    if (report.step >= 2) seconds.push_back(report.seconds);
  };
  events.stop = [&] { return static_cast<int>(seconds.size()) >= steps; };
  trainer.run(events);
  return 1e3 * median(seconds);
}

nlohmann::json measure(const Growth& growth, int steps, const std::string& out, bool quiet) {
  const int64_t processors = cpu::Context().threads();
  std::vector<std::string> precisions = {"float32"};
  if (cpu::bf16_is_fast_here()) precisions.push_back("bf16");
  view::Chart chart{.title = growth.title, .x_label = growth.x_label, .y_label = "ms per step"};
  nlohmann::json data = {{"x", growth.x_label}};
  for (const std::string& precision : precisions) {
    view::Series& series = chart.series.emplace_back(view::Series{.name = precision});
    for (const int64_t size : growth.sizes) {
      if (growth.apply == kGrowths.back().apply && size > processors) break;
      series.x.push_back(static_cast<double>(size));
      series.y.push_back(step_milliseconds(growth, size, precision, steps));
      if (!quiet) fmt::print("{} {} {}: {:.2f} ms\n", growth.file, size, precision, series.y.back());
    }
    data["sizes"] = series.x;
    data[precision] = series.y;
  }
  chart.y_range = view::Range{0, 1.05 * *std::ranges::max_element(chart.series[0].y)};
  write_file(fmt::format("{}/growth_{}.svg", out, growth.file), view::to_svg(chart));
  write_file(fmt::format("{}/growth_{}.json", out, growth.file), data.dump(1) + "\n");
  return data;
}

}  // namespace

int main(int argc, char** argv) {
  tools::CommandLine line("How the cost of a training step grows, as pictures.", "bench_growth");
  std::string out = ".", only;
  int steps = 5;
  bool as_json = false;
  line.option("--out", &out, "folder for growth_*.svg and growth_*.json");
  line.option("--only", &only, "batch, width, side or threads");
  line.option("--steps", &steps, "measured for each point", {.least = 1, .most = 10000});
  line.flag("--json", as_json, "all of it in one line of JSON too, and no other lines");
  return line.run(argc, argv, [&] {
    if (!std::filesystem::is_directory(out)) fail(Exit::usage, "--out {} is no folder; make it first", out);
    nlohmann::json all;
    for (const Growth& growth : kGrowths)
      if (only.empty() || only == growth.file) all[growth.file] = measure(growth, steps, out, as_json);
    if (as_json) fmt::print("{}\n", nlohmann::json{{"growth", all}}.dump());
    return 0;
  });
}
