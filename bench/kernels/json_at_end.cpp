#include "bench/kernels/json_at_end.h"

namespace stopgrad::bench {
namespace {

/// The share of one run by these ceilings. Statistics over repetitions get none: Google Benchmark made them
/// of shares by the ceilings that were known by then.
void set_share(benchmark::BenchmarkReporter::Run& run, const Ceilings& ceilings) {
  const bool bf16 = run.run_name.function_name.find("/bf16/") != std::string::npos;
  const double seconds = run.GetAdjustedRealTime() / benchmark::GetTimeUnitMultiplier(run.time_unit);
  for (const auto& [share, amount, ceiling] : {std::tuple("share_of_copy", "bytes", ceilings.copy),
                                               {"share_of_matmul", "operations", ceilings.matmul(bf16)}}) {
    const auto at = run.counters.find(share);
    if (at == run.counters.end()) continue;
    if (run.run_type == benchmark::BenchmarkReporter::Run::RT_Iteration)
      at->second = run.counters.at(amount).value / seconds / ceiling;
    else run.counters.erase(at);
  }
}

}  // namespace

bool JsonAtEnd::ReportContext(const Context& context) {
  context_.emplace(context);
  return true;
}

void JsonAtEnd::ReportRuns(const std::vector<Run>& runs) {
  runs_.push_back(runs);
  for (Run& run : runs_.back()) run.run_name.iterations.clear(), run.run_name.time_type.clear();
}

void JsonAtEnd::Finalize() {
  add_context_();
  JSONReporter::ReportContext(*context_);
  for (std::vector<Run>& runs : runs_) {
    for (Run& run : runs) set_share(run, ceilings_);
    JSONReporter::ReportRuns(runs);
  }
  JSONReporter::Finalize();
}

}  // namespace stopgrad::bench
