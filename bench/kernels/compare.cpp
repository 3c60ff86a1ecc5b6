#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "bench/kernels/session.h"
#include "kernels/check.h"

namespace stopgrad::bench {
namespace {

/// Of one benchmark in an earlier run, in microseconds; repetitions widen the range.
struct Old {
  double time, low, high;
};

std::string ceiling_line(const char* what, const nlohmann::json& context, const char* key, double now) {
  if (!context.contains(key)) return "";
  const double before = std::stod(context.at(key).get<std::string>());
  if (!(before > 0) || !(now > 0)) return "";
  return fmt::format("  {:<20}{:+.1f} %\n", what, 100 * (now / before - 1));
}

}  // namespace

std::string compare(const std::vector<Result>& results, const Ceilings& ceilings, const std::string& path) {
  std::map<std::string, Old> before;
  std::string out = fmt::format("\nagainst {}\n", path);
  try {
    std::ifstream file(path);
    const nlohmann::json json = nlohmann::json::parse(file);
    for (const nlohmann::json& b : json.at("benchmarks")) {
      if (b.at("run_type") != "iteration" || b.value("error_occurred", false)) continue;
      const Old one{b.at("real_time"), b.at("low_us"), b.at("high_us")};
      const auto [at, fresh] = before.emplace(b.at("name"), one);
      if (!fresh)
        at->second = {one.time, std::min(at->second.low, one.low), std::max(at->second.high, one.high)};
    }
    const nlohmann::json& context = json.at("context");
    out += ceiling_line("the copy itself", context, "copy_bytes_per_second", ceilings.copy);
    out += ceiling_line("matmul in float32", context, "matmul_f32_per_second", ceilings.matmul_f32);
    out += ceiling_line("matmul in bf16", context, "matmul_bf16_per_second", ceilings.matmul_bf16);
  } catch (const std::exception& e) {
    fail(Exit::data, "--compare {}: not the JSON of an earlier run ({})", path, e.what());
  }
  int moved = 0;
  std::set<std::string> both, fresh;
  for (const Result& r : results) {
    const auto found = before.find(r.name);
    (found == before.end() ? fresh : both).insert(r.name);
    if (found == before.end()) continue;
    const Old& old = found->second;
    const double time = r.measured.ours.median * 1e6;
    const double low = r.measured.ours.low * 1e6, high = r.measured.ours.high * 1e6;
    if (low <= old.high && old.low <= high) continue;
    ++moved;
    out += fmt::format("  {:<58}{:>12.2f} us -> {:>10.2f} us  {:.2f}x {}\n", r.name, old.time, time,
                       std::max(old.time / time, time / old.time), time < old.time ? "faster" : "SLOWER");
  }
  out += fmt::format("  {} of {} moved beyond the noise\n", moved, both.size());
  return out + fmt::format("  not compared: {} of this run alone, {} of the earlier one alone\n",
                           fresh.size(), before.size() - both.size());
}

}  // namespace stopgrad::bench
