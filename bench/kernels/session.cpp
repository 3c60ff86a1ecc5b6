#include "bench/kernels/session.h"

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

}  // namespace

Outcome run_one(const Entry& entry, const Device& device, const char* device_name, const Ceilings& ceilings,
                const Patience& patience) {
  const std::unique_ptr<Subject> subject = entry.make(device);
  const Comparison ours = subject->check();
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
  Result r{entry.name(device_name), entry.op, device_name, entry.type,    entry.shape, entry.limit, {},
           subject->copies(),       {},       baseline,    ceilings.copy, ours.worst()};
  r.work = subject->work();
  if (entry.limit == Limit::matmul)
    r.ceiling = entry.type == "bf16" ? ceilings.matmul_bf16 : ceilings.matmul_f32;
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
  state.counters["buffers"] = double(r.copies);
  if (m.warm > 0) state.counters["warm_us"] = m.warm * 1e6;
  state.counters["bytes"] = r.work.bytes;
  state.counters["operations"] = r.work.operations;
  state.counters[r.limit == Limit::copy ? "share_of_copy" : "share_of_matmul"] = r.share();
  state.counters["tolerance_used"] = r.tolerance_used;
  if (m.baseline.samples > 0) {
    state.counters["baseline_us"] = m.baseline.median * 1e6;
    state.counters["baseline_spread"] = m.baseline.spread();
    state.counters["speedup"] = r.ratio();
  }
  state.SetLabel(r.baseline);
}

void print_header(const Ceilings& ceilings) {
  fmt::print("measured here: copy {:.1f} GB/s, matmul {:.1f} GFLOP/s in float32", ceilings.copy * 1e-9,
             ceilings.matmul_f32 * 1e-9);
  if (ceilings.matmul_bf16 > 0) fmt::print(", {:.1f} in bf16", ceilings.matmul_bf16 * 1e-9);
  fmt::print("\n\n{:<22}{:<6}{:<24}{:>11}{:>8}{:>14}{:>8}  {:<7}{:>11}  {}\n", "call", "type", "shape",
             "time", "spread", "rate", "share", "of", "warm", "against");
  std::fflush(stdout);
}

void print_row(const Entry& entry, const char* device_name, const Outcome& outcome) {
  (void)device_name;
  fmt::print("{:<22}{:<6}{:<24}", entry.op, entry.type, entry.shape);
  if (!outcome.result) {
    fmt::print("  WRONG, no time: {}\n", outcome.wrong);
  } else {
    const Result& r = *outcome.result;
    const Measurement& m = r.measured;
    fmt::print("{:>11}{:>6.1f} %{:>14}{:>6.0f} %  {:<7}{:>11}", duration(m.ours.median),
               100 * m.ours.spread(), rate(r), 100 * r.share(), r.limit == Limit::copy ? "copy" : "matmul",
               m.warm > 0 ? duration(m.warm) : "");
    if (m.baseline.samples > 0) fmt::print("  {:.2f}x {}", r.ratio(), r.baseline);
    else if (!r.baseline.empty()) fmt::print("  {}", r.baseline);
    fmt::print("\n");
  }
  std::fflush(stdout);
}

}  // namespace stopgrad::bench
