#pragma once
// From a benchmark to what is reported of it.
#include <benchmark/benchmark.h>

#include <optional>

#include "bench/kernels/ceilings.h"
#include "bench/kernels/measure.h"
#include "bench/kernels/registry.h"

namespace stopgrad::bench {

struct Result {
  std::string name, type;
  Limit limit;
  Work work;
  double ceiling;         // bytes or operations per second, as `limit` says
  double tolerance_used;  // largest share, of our results
  size_t buffers;
  std::string baseline;  // its name, or why it has no time, or empty
  Measurement measured;

  double rate() const { return (limit == Limit::copy ? work.bytes : work.operations) / measured.ours.median; }
  double share() const { return rate() / ceiling; }
  /// How many times as long the baseline takes; 0 where there is none.
  double speedup() const { return measured.baseline.median / measured.ours.median; }
};

/// A result, or what a wrong kernel computed: there is no time for one.
struct Outcome {
  std::optional<Result> result;
  std::string wrong;
};
/// Compares a benchmark with its reference, and measures it when it agrees. device_name: "cpu" or "cuda".
Outcome run_one(const Entry& entry, const Device& device, const char* device_name, const Ceilings& ceilings,
                const Patience& patience);

/// Time and counters for Google Benchmark's JSON.
void put(const Result& result, benchmark::State& state);

// The table: one line per kernel and shape.
std::string ceilings_line(const Ceilings& ceilings);
std::string table_header(const Ceilings& ceilings);
std::string table_row(const Entry& entry, const Outcome& outcome);

/// A row of the table as it was printed, by the ceilings known then.
struct Row {
  const Entry* entry;
  Outcome outcome;
  std::string text;
};
/// The rows that read differently by the ceilings of the whole run; empty when none does.
std::string moved_rows(const std::vector<Row>& rows, const Ceilings& ceilings);

/// What moved beyond the noise since a run whose JSON is `path`: the middle halves of both samples do not
/// overlap. Error(Exit::data) when it cannot be read.
std::string compare(const std::vector<Result>& results, const Ceilings& ceilings, const std::string& path);

/// Operations per byte against operations per second, under the roofs measured in this run, as SVG.
std::string roofline(const std::vector<Result>& results, const Ceilings& ceilings, const std::string& title);

}  // namespace stopgrad::bench
