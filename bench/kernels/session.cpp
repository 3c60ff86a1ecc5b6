#include "bench/kernels/session.h"

#include "kernels/profile.h"

namespace stopgrad::bench {
namespace {

std::string duration(double seconds) {
  if (seconds < 0.9995e-3) return fmt::format("{:.{}f} us", seconds * 1e6, seconds < 1e-5 ? 2 : 1);
  if (seconds < 0.9995) return fmt::format("{:.{}f} ms", seconds * 1e3, seconds < 1e-2 ? 3 : 1);
  return fmt::format("{:.2f} s", seconds);
}

std::string rate(const Result& r) {
  return fmt::format("{:.1f} {}", r.rate() * 1e-9, r.limit == Limit::copy ? "GB/s" : "GF/s");
}

double ceiling_of(const Entry& entry, const Ceilings& ceilings) {
  return entry.limit == Limit::copy ? ceilings.copy : ceilings.matmul(entry.type == "bf16");
}

}  // namespace

Outcome run_one(const Entry& entry, const Device& device, const char* device_name, const Ceilings& ceilings,
                const Patience& patience) {
  const std::unique_ptr<Subject> subject = entry.make(device);
  if (!device.is_cpu()) subject->run(0);  // a library's plan is searched for here, outside of the range
  const Comparison ours = [&] {
    const ProfileRange range("bench_kernels");  // one launch, for profilers
    return subject->check();
  }();
  if (!ours.why().empty()) return {std::nullopt, ours.why()};
  std::string baseline = subject->baseline();
  bool with_baseline = !baseline.empty();
  if (with_baseline) {
    const Comparison theirs = subject->check_baseline();
    if (!theirs.why().empty()) {
      with_baseline = false;
      baseline += " disagrees: " + theirs.why();
    }
  }
  Result r{entry.name(device_name),
           entry.type,
           entry.limit,
           subject->work(),
           ceiling_of(entry, ceilings),
           ours.worst(),
           subject->copies(),
           baseline,
           {}};
  r.measured = measure(*subject, device, patience, with_baseline);
  return {r, ""};
}

void put(const Result& r, benchmark::State& state) {
  const Measurement& m = r.measured;
  state.SetIterationTime(m.ours.median);
  state.counters["low_us"] = m.ours.low * 1e6;
  state.counters["high_us"] = m.ours.high * 1e6;
  state.counters["spread"] = m.ours.spread();
  state.counters["samples"] = double(m.ours.samples);
  state.counters["buffers"] = double(r.buffers);
  if (m.warm > 0) state.counters["warm_us"] = m.warm * 1e6;
  state.counters["bytes"] = r.work.bytes;
  state.counters["operations"] = r.work.operations;
  state.counters[r.limit == Limit::copy ? "share_of_copy" : "share_of_matmul"] = r.share();
  state.counters["tolerance_used"] = r.tolerance_used;
  if (m.baseline.samples > 0) {
    state.counters["baseline_us"] = m.baseline.median * 1e6;
    state.counters["baseline_spread"] = m.baseline.spread();
    state.counters["speedup"] = r.speedup();
  }
  state.SetLabel(r.baseline);
}

std::string moved_rows(const std::vector<Row>& rows, const Ceilings& ceilings) {
  std::string out;
  for (const Row& row : rows) {
    if (!row.outcome.result) continue;
    Outcome last = row.outcome;
    last.result->ceiling = ceiling_of(*row.entry, ceilings);
    const std::string text = table_row(*row.entry, last);
    if (text != row.text) out += text;
  }
  return out.empty() ? "" : "The ceilings rose after these rows; by the last ones they are:\n" + out;
}

std::string ceilings_line(const Ceilings& ceilings) {
  std::string out = fmt::format("copy {:.1f} GB/s, matmul {:.1f} GFLOP/s in float32", ceilings.copy * 1e-9,
                                ceilings.matmul_f32 * 1e-9);
  if (ceilings.matmul_bf16 > 0) out += fmt::format(", {:.1f} in bf16", ceilings.matmul_bf16 * 1e-9);
  return out;
}

std::string table_header(const Ceilings& ceilings) {
  return fmt::format("measured here: {}\n\n{:<24}{:<6}{:<36}{:>11}{:>9}{:>14}{:>8}  {:<7}{:>11}  {}\n",
                     ceilings_line(ceilings), "call", "type", "shape", "time", "spread", "rate", "share",
                     "of", "warm", "against");
}

std::string table_row(const Entry& entry, const Outcome& outcome) {
  std::string out = fmt::format("{:<24}{:<6}{:<36}", entry.op, entry.type, entry.shape);
  if (!outcome.result) return out + "  WRONG, no time: " + outcome.wrong + "\n";
  const Result& r = *outcome.result;
  const Measurement& m = r.measured;
  const char* const of = r.limit == Limit::copy ? "copy" : "matmul";
  const std::string share = r.ceiling > 0 ? fmt::format("{:.0f} %", 100 * r.share()) : "";
  out += fmt::format("{:>11}{:>7.1f} %{:>14}{:>8}  {:<7}{:>11}", duration(m.ours.median),
                     100 * m.ours.spread(), rate(r), share, of, m.warm > 0 ? duration(m.warm) : "");
  if (m.baseline.samples > 0) out += fmt::format("  {:.2f}x {}", r.speedup(), r.baseline);
  else if (!r.baseline.empty()) out += "  " + r.baseline;
  return out + "\n";
}

}  // namespace stopgrad::bench
