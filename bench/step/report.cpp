#include "bench/step/report.h"

#include <algorithm>
#include <map>

namespace stopgrad::bench {

using nlohmann::json;

namespace {

/// Details may begin with the blank that sets them apart.
std::string trimmed(const std::string& s) { return s.starts_with(' ') ? s.substr(1) : s; }

std::string label_of(const TapeEntry& e) {
  return fmt::format("{}{}{}", e.name, e.detail.empty() ? "" : " ", trimmed(e.detail));
}

/// Sums over the nodes of one line.
struct Line {
  int nodes = 0;
  double forward = 0, backward = 0, forward_floor = 0, backward_floor = 0;
  double seconds() const { return forward + backward; }
  void add(const Line& o) {
    nodes += o.nodes;
    forward += o.forward;
    backward += o.backward;
    forward_floor += o.forward_floor;
    backward_floor += o.backward_floor;
  }
};

/// "83 %" of the speed that the rates allow; empty where nothing must be computed or nothing ran.
std::string reached(double floor, double seconds) {
  return floor > 0 && seconds > 0 ? fmt::format("{:.0f} %", 100 * floor / seconds) : "";
}

std::string text_of(const std::string& name, const Line& l, double step) {
  return fmt::format("{:<58} {:>3} {:>9.3f} {:>7} {:>9.3f} {:>7} {:>6.2f} %\n", name, l.nodes,
                     l.forward * 1e3, reached(l.forward_floor, l.forward), l.backward * 1e3,
                     reached(l.backward_floor, l.backward), 100 * l.seconds() / step);
}

Line line_of(const StepBreakdown& b, const Rates& rates, size_t i) {
  const NodeCost cost = cost_of(b.last.entries, static_cast<int>(i));
  const bool ran = b.last.entries[i].got_grad;
  return {1, b.forward[i], b.backward[i], rates.floor(cost.forward), ran ? rates.floor(cost.backward) : 0};
}

}  // namespace

std::string table_of(const StepBreakdown& b, const Rates& rates, double step) {
  std::map<std::string, Line> lines;
  Line all;
  for (size_t i = 0; i < b.last.entries.size(); ++i) {
    const TapeEntry& e = b.last.entries[i];
    if (e.inputs.empty()) continue;
    const Line line = line_of(b, rates, i);
    lines[fmt::format("{} {}", label_of(e), e.shape)].add(line);
    all.add(line);
  }
  std::vector<std::pair<std::string, Line>> sorted(lines.begin(), lines.end());
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const auto& x, const auto& y) { return x.second.seconds() > y.second.seconds(); });
  std::string out = fmt::format("{:<58} {:>3} {:>9} {:>7} {:>9} {:>7} {:>8}\n", "node, output", "n",
                                "forward", "floor", "backward", "floor", "of step");
  for (const auto& [name, line] : sorted)
    if (line.seconds() > 1e-3 * step) out += text_of(name, line, step);
  out += text_of("all nodes", all, step);
  const auto row = [&](const char* name, double seconds) {
    out += fmt::format("{:<58} {:>13.3f} {:>34.2f} %\n", name, seconds * 1e3, 100 * seconds / step);
  };
  row("views", b.views);
  row("update", b.update);
  row("idle: the step less views, nodes and update", step - b.seconds());
  row("step", step);
  return out +
         fmt::format(
             "times in ms; floor: the least time at {:.0f} GFLOP/s and {:.1f} GB/s, measured in this run, "
             "as a share of the time taken\n",
             rates.flop_per_second / 1e9, rates.bytes_per_second / 1e9);
}

json json_of(const StepBreakdown& b, const Rates& rates, double step) {
  json nodes = json::array();
  double flop = 0;
  for (size_t i = 0; i < b.last.entries.size(); ++i) {
    const TapeEntry& e = b.last.entries[i];
    if (e.inputs.empty()) continue;
    const Line line = line_of(b, rates, i);
    const NodeCost cost = cost_of(b.last.entries, static_cast<int>(i));
    flop += cost.forward.flop;
    if (e.got_grad)
      for (const Cost& call : cost.backward) flop += call.flop;
    nodes.push_back({{"index", i},
                     {"name", e.name},
                     {"detail", trimmed(e.detail)},
                     {"scope", e.scope},
                     {"shape", fmt::format("{}", e.shape)},
                     {"forward_seconds", line.forward},
                     {"forward_floor", line.forward_floor},
                     {"backward_seconds", line.backward},
                     {"backward_floor", line.backward_floor}});
  }
  return {{"flop_per_second", rates.flop_per_second},
          {"bytes_per_second", rates.bytes_per_second},
          {"flop", flop},
          {"share_of_flop_ceiling", flop / step / rates.flop_per_second},
          {"views_seconds", b.views},
          {"update_seconds", b.update},
          {"nodes_and_update_seconds", b.seconds() - b.views},
          {"step_seconds", step},
          {"idle_share", 1 - b.seconds() / step},
          {"nodes", nodes}};
}

}  // namespace stopgrad::bench
