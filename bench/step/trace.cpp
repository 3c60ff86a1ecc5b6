#include "bench/step/report.h"

namespace stopgrad::bench {

using nlohmann::json;

namespace {

enum Row { forward_row = 1, backward_row = 2, other_row = 3 };
constexpr double kMicro = 1e6;  // trace viewers count microseconds

json event(const char* phase, const std::string& name, int row, double seconds) {
  return {{"ph", phase}, {"name", name}, {"pid", 1}, {"tid", row}, {"ts", seconds * kMicro}};
}

json slice(const std::string& name, const char* category, int row, Span span) {
  json e = event("X", name, row, span.begin);
  e["cat"] = category;
  e["dur"] = span.seconds() * kMicro;
  return e;
}

json title_of(const char* what, int row, const std::string& name) {
  json e = event("M", what, row, 0);
  e["args"] = {{"name", name}};
  return e;
}

/// One end of the arrow from a node's forward to its backward.
json arrow(const char* phase, size_t index, int row, Span span) {
  json e = event(phase, "gradient", row, (span.begin + span.end) / 2);
  e["cat"] = "gradient";
  e["id"] = index;
  if (*phase == 'f') e["bp"] = "e";  // ends at the slice round this time
  return e;
}

double megaflop(const std::vector<Cost>& calls) {
  double sum = 0;
  for (const Cost& call : calls) sum += call.flop;
  return sum / 1e6;
}

}  // namespace

json trace_of(const StepTimes& times, const Rates& rates, const std::string& title) {
  json events = json::array();
  events.push_back(title_of("process_name", 0, title));
  events.push_back(title_of("thread_name", forward_row, "forward"));
  events.push_back(title_of("thread_name", backward_row, "backward"));
  events.push_back(title_of("thread_name", other_row, "views, update"));
  events.push_back(slice("views", "views", other_row, times.views));
  for (size_t i = 0; i < times.entries.size(); ++i) {
    const TapeEntry& e = times.entries[i];
    if (e.inputs.empty()) continue;
    const Span forward = times.forward[i], backward = times.backward[i];
    if (e.wall) {  // takes no time: an instant that one can see
      json wall = event("i", "detach: the wall", forward_row, forward.end);
      wall["s"] = "t";
      wall["args"] = {{"node", i}, {"scope", e.scope}};
      events.push_back(wall);
      continue;
    }
    const NodeCost cost = cost_of(times.entries, static_cast<int>(i));
    json there = slice(e.name, "forward", forward_row, forward);
    there["args"] = {{"node", i},
                     {"scope", e.scope},
                     {"detail", e.detail},
                     {"shape", fmt::format("{}", e.shape)},
                     {"MFLOP", megaflop({cost.forward})},
                     {"floor_us", rates.floor(cost.forward) * kMicro}};
    events.push_back(there);
    if (backward.end <= 0) continue;
    json back = slice(std::string(e.name) + " backward", "backward", backward_row, backward);
    back["args"] = {{"node", i},
                    {"scope", e.scope},
                    {"MFLOP", megaflop(cost.backward)},
                    {"floor_us", rates.floor(cost.backward) * kMicro}};
    events.push_back(back);
    events.push_back(arrow("s", i, forward_row, forward));
    events.push_back(arrow("f", i, backward_row, backward));
  }
  events.push_back(slice("update", "optimizer", other_row, times.update));
  return {{"traceEvents", events}, {"displayTimeUnit", "ms"}};
}

}  // namespace stopgrad::bench
