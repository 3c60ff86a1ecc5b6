#pragma once
// One run of the program: what was chosen, what was measured, and how it is reported.
#include <benchmark/benchmark.h>

#include <optional>

#include "bench/kernels/ceilings.h"
#include "bench/kernels/measure.h"
#include "bench/kernels/registry.h"

namespace stopgrad::bench {

struct Result {
  std::string name, op, device, type, shape;
  Limit limit;
  Work work;
  size_t copies;
  Measurement measured;
  std::string baseline;   // its name, or why its time is missing, or empty
  double ceiling;         // bytes or operations per second, as `limit` says
  double tolerance_used;  // largest share, of our results
  double rate() const { return (limit == Limit::copy ? work.bytes : work.operations) / measured.ours.median; }
  double share() const { return rate() / ceiling; }
  /// How many times as long the baseline takes; 0 where there is none.
  double ratio() const { return measured.baseline.median / measured.ours.median; }
};

/// Compares and measures one benchmark; what a wrong kernel computed is the other alternative.
struct Outcome {
  std::optional<Result> result;
  std::string wrong;
};
Outcome run_one(const Entry& entry, const Device& device, const char* device_name, const Ceilings& ceilings,
                const Patience& patience);

/// Counters and time of a result, for Google Benchmark's JSON.
void put(const Result& result, benchmark::State& state);

/// One line per kernel and shape.
void print_header(const Ceilings& ceilings);
void print_row(const Entry& entry, const char* device_name, const Outcome& outcome);

}  // namespace stopgrad::bench
