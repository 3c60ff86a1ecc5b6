// How far is each kernel from the hardware's limit, and from what one would otherwise use?
// docs/benchmarks.md says how to read the table and the JSON.
#include <benchmark/benchmark.h>

#include <CLI/CLI.hpp>
#include <regex>

#include "bench/kernels/session.h"
#include "kernels/check.h"
#if defined(STOPGRAD_CUDA)
#include "kernels/cuda_context.h"
#endif

using namespace stopgrad;
using namespace stopgrad::bench;

namespace {

constexpr const char* kHelp = R"(
Every call of kernels/, compared first and timed then: median and spread, GB/s as a share of the copy bandwidth
measured in the same run, convolutions and products as a share of the matmul rate, and the library beside it.
Without a filter a small set of layers runs, in one to two minutes; --benchmark_filter=all runs everything.

  bench_kernels                                            the small set
  bench_kernels --benchmark_filter='batch_norm.*/f32/'     every shape of batch norm in float32
  bench_kernels --benchmark_list_tests                     all names
  bench_kernels --benchmark_out=new.json --benchmark_out_format=json
Other options of Google Benchmark (--benchmark_repetitions, --benchmark_enable_random_interleaving,
--benchmark_context ...) work as everywhere. Exit codes: 0 all agreed, 1 a kernel was wrong, 2 wrong options.)";

struct Options {
  std::string filter, device = "best", min_time = "0.2";
  bool list = false;
  int threads = 0;
  Patience patience;
};

/// JSON under the names that --benchmark_list_tests shows, without how often Google Benchmark called them.
class PlainNames : public benchmark::JSONReporter {
 public:
  void ReportRuns(const std::vector<Run>& runs) override {
    std::vector<Run> plain = runs;
    for (Run& run : plain) run.run_name.iterations.clear(), run.run_name.time_type.clear();
    JSONReporter::ReportRuns(plain);
  }
};

/// The table prints its rows itself, when a benchmark is done.
class Quiet : public benchmark::BenchmarkReporter {
 public:
  bool ReportContext(const Context&) override { return true; }
  void ReportRuns(const std::vector<Run>&) override {}
};

bool chosen(const Entry& entry, const std::string& name, const Options& options) {
  if (options.filter.empty()) return entry.quick;
  if (options.filter == "all") return true;
  const bool negative = options.filter[0] == '-';
  return std::regex_search(name, std::regex(options.filter.substr(negative))) != negative;
}

int run(const Options& options, const Device& device, const char* device_name, bool json, bool out) {
  const Registry registry;
  std::vector<const Entry*> entries;
  for (const Entry& entry : registry.entries)
    if (chosen(entry, entry.name(device_name), options)) entries.push_back(&entry);
  if (options.list) {
    for (const Entry* entry : entries) fmt::print("{}\n", entry->name(device_name));
    return 0;
  }
  if (entries.empty())
    fail(Exit::usage, "no benchmark matches '{}'; --benchmark_list_tests --benchmark_filter=all names all",
         options.filter);
  const Ceilings ceilings = measure_ceilings(device);
  if (!json) print_header(ceilings);
  benchmark::AddCustomContext("copy_bytes_per_second", fmt::format("{:.6g}", ceilings.copy));
  benchmark::AddCustomContext("matmul_f32_per_second", fmt::format("{:.6g}", ceilings.matmul_f32));
  benchmark::AddCustomContext("matmul_bf16_per_second", fmt::format("{:.6g}", ceilings.matmul_bf16));
  int wrong = 0;
  for (const Entry* entry : entries)
    benchmark::RegisterBenchmark(entry->name(device_name).c_str(),
                                 [&, entry](benchmark::State& state) {
                                   const Outcome outcome =
                                       run_one(*entry, device, device_name, ceilings, options.patience);
                                   if (!json) print_row(*entry, device_name, outcome);
                                   for (auto _ : state)
                                     if (outcome.result) put(*outcome.result, state);
                                     else state.SkipWithError(outcome.wrong.c_str()), ++wrong;
                                 })
        ->UseManualTime()
        ->Iterations(1)
        ->Unit(benchmark::kMicrosecond);
  Quiet quiet;
  PlainNames display, file;
  benchmark::BenchmarkReporter* const shown =
      json ? static_cast<benchmark::BenchmarkReporter*>(&display) : &quiet;
  benchmark::RunSpecifiedBenchmarks(shown, out ? &file : nullptr, "all");
  if (wrong > 0)
    fmt::print(stderr, "bench_kernels: {} of {} kernels are wrong and have no time\n", wrong, entries.size());
  return wrong > 0;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app(kHelp, "bench_kernels");
  Options options;
  app.allow_extras();
  app.add_option("--benchmark_filter", options.filter,
                 "regular expression over names; all; -expression for the rest");
  app.add_flag("--benchmark_list_tests{true}", options.list, "print the names and end");
  app.add_option("--benchmark_min_time", options.min_time, "seconds per call at least (0.2)");
  app.add_option("--max_time", options.patience.most, "seconds per call at most");
  app.add_option("--threads", options.threads, "of the CPU schedules; 0: all processors");
  CLI11_PARSE(app, argc, argv);
  std::vector<std::string> rest = app.remaining();
  bool json = false, out = false;
  for (const std::string& option : rest) {
    json |= option == "--benchmark_format=json";
    out |= option.starts_with("--benchmark_out=");
  }
  std::vector<char*> arguments = {argv[0]};
  for (std::string& option : rest) arguments.push_back(option.data());
  int count = static_cast<int>(arguments.size());
  benchmark::Initialize(&count, arguments.data());
  if (benchmark::ReportUnrecognizedArguments(count, arguments.data())) return static_cast<int>(Exit::usage);
  try {
    options.patience.least = std::stod(options.min_time);
    options.patience.most = std::max(options.patience.most, options.patience.least);
    cpu::Context context(options.threads);
    return run(options, {&context, nullptr}, "cpu", json, out);
  } catch (const Error& e) {
    fmt::print(stderr, "bench_kernels: {}\n", e.what());
    return static_cast<int>(e.code());
  }
}
