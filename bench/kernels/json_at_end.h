#pragma once
// Google Benchmark's JSON, written when the run is over: only then are its ceilings known, and all shares are
// of the same ones.
#include <benchmark/benchmark.h>

#include <optional>

#include "bench/kernels/ceilings.h"

namespace stopgrad::bench {

/// Under the names that --benchmark_list_tests shows, without how often Google Benchmark called them.
class JsonAtEnd : public benchmark::JSONReporter {
 public:
  /// `ceilings` are read at the end; `add_context` is called before the first JSON of a run is written.
  JsonAtEnd(const Ceilings& ceilings, std::function<void()> add_context)
      : ceilings_(ceilings), add_context_(std::move(add_context)) {}
  bool ReportContext(const Context& context) override;
  void ReportRuns(const std::vector<Run>& runs) override;
  void Finalize() override;

 private:
  const Ceilings& ceilings_;
  std::function<void()> add_context_;
  std::optional<Context> context_;
  std::vector<std::vector<Run>> runs_;
};

}  // namespace stopgrad::bench
