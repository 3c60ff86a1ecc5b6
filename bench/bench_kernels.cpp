// How far is each kernel from the hardware's limit, and from what one would otherwise use?
// docs/benchmarks.md says how to read the table and the JSON.
#include <benchmark/benchmark.h>

#include <chrono>
#include <fstream>
#include <mutex>
#include <regex>

#include "bench/kernels/json_at_end.h"
#include "bench/kernels/kept_ceilings.h"
#include "bench/kernels/session.h"
#include "bench/versions.h"
#include "kernels/check.h"
#include "tools/command_line.h"
#if defined(STOPGRAD_CUDA)
#include "kernels/cuda_context.h"
#endif

using namespace stopgrad;
using namespace stopgrad::bench;

namespace {

#if defined(STOPGRAD_EMULATE)
constexpr bool kEmulated = true;
#else
constexpr bool kEmulated = false;
#endif

constexpr const char* kHelp = R"(Every call of kernels/: compared with its reference first, and timed then.
Median and spread; GB/s as a share of the copy bandwidth measured in the same run; convolutions and products as a
share of the matmul rate; the library beside it. Without a filter a small set of layers runs, in about two minutes.

  bench_kernels                                          the small set
  bench_kernels --benchmark_filter='batch_norm.*/bf16/'  every shape of one call; =all: everything
  bench_kernels --small --benchmark_filter=batch_norm    one call's part of the small set
  bench_kernels --shape rows=4096,channels=256           your own shape, for the calls that have these sizes
  bench_kernels --benchmark_out=now.json --benchmark_out_format=json --roofline roofline.svg
  bench_kernels --compare before.json                    and what moved since then beyond the noise
  bench_kernels --ceilings best.json --benchmark_filter=sgd    a run in parts: shares are of the best of all so far
  bench_kernels --benchmark_list_tests=true --benchmark_filter=all

Google Benchmark's other options (--benchmark_repetitions, --benchmark_enable_random_interleaving,
--benchmark_context, --benchmark_format=json ...) work as they do everywhere.
Exit codes: 0 everything agreed, 1 a kernel is wrong, 2 wrong options, 4 --compare or --ceilings unreadable,
8 no such device, 9 --roofline or --ceilings not written.
)";

using Steady = std::chrono::steady_clock;

struct Options {
  std::string filter, device = "best", shape, compare, roofline, ceilings;
  bool list = false, small = false;
  int threads = 0;
  Patience patience;
  bool json = false, out = false;  // --benchmark_format=json, --benchmark_out
};

/// For the table, whose rows appear as soon as they are measured.
class Silent : public benchmark::BenchmarkReporter {
 public:
  bool ReportContext(const Context&) override { return true; }
  void ReportRuns(const std::vector<Run>&) override {}
};

void say(const std::string& text) {
  fmt::print("{}", text);
  std::fflush(stdout);
}

/// On the emulated device a large layer takes minutes: without a filter, the largest small shape of each
/// call.
bool small_enough(const Registry& registry, const Entry& entry) {
  constexpr size_t kMost = 48 << 10;
  for (const Entry& other : registry.entries)
    if (other.op == entry.op && other.type == entry.type && other.bytes <= kMost && other.bytes > entry.bytes)
      return false;
  return entry.bytes <= kMost;
}

std::vector<const Entry*> chosen(const Registry& registry, const Options& options, const char* device) {
  const bool negative = options.filter.starts_with("-");
  std::regex wanted;
  try {
    wanted = options.filter == "all" ? "." : options.filter.substr(negative);
  } catch (const std::regex_error&) {
    fail(Exit::usage, "--benchmark_filter={}: not a regular expression", options.filter);
  }
  std::vector<const Entry*> entries;
  for (const Entry& entry : registry.entries) {
    const bool on_cuda = std::string_view(device) == "cuda";
    bool small = entry.quick || (on_cuda && of_a_large_step(entry));
    if (kEmulated && on_cuda) small = small_enough(registry, entry);
    const bool every = !options.shape.empty() || (!options.filter.empty() && !options.small);
    const bool named = options.filter.empty() || std::regex_search(entry.name(device), wanted) != negative;
    if (named && (small || every)) entries.push_back(&entry);
  }
  if (entries.empty())
    fail(Exit::usage,
         "no benchmark matches '{}'; --benchmark_list_tests=true --benchmark_filter=all names them all",
         options.filter);
  return entries;
}

void add_to_context(const std::string& machine, const std::string& built, const Ceilings& ceilings) {
  benchmark::AddCustomContext("device", machine);
  benchmark::AddCustomContext("built", built);
  benchmark::AddCustomContext("copy_bytes_per_second", fmt::format("{:.6g}", ceilings.copy));
  benchmark::AddCustomContext("matmul_f32_per_second", fmt::format("{:.6g}", ceilings.matmul_f32));
  benchmark::AddCustomContext("matmul_bf16_per_second", fmt::format("{:.6g}", ceilings.matmul_bf16));
}

int measure_all(const Options& options, const Device& device, const char* device_name,
                const std::string& machine) {
  const Registry registry = options.shape.empty() ? Registry() : Registry(parse_sizes(options.shape));
  const std::vector<const Entry*> entries = chosen(registry, options, device_name);
  if (options.list) {
    for (const Entry* entry : entries) fmt::print("{}\n", entry->name(device_name));
    return 0;
  }
  const std::optional<Ceilings> kept =
      options.ceilings.empty() ? std::nullopt : read_ceilings(options.ceilings, machine);
  Ceilings ceilings = kept.value_or(Ceilings{});  // the best so far
  Steady::time_point last;
  const auto measure_again = [&] {
    ceilings = best_of(ceilings, measure_ceilings(device));
    last = Steady::now();
  };
  for (int i = 0; i < (kEmulated || kept ? 1 : 4); ++i) measure_again();
  if (!options.json) say(machine + "\n" + table_header(ceilings));

  std::vector<Result> results;
  std::vector<Row> rows;
  int wrong = 0;
  const auto body = [&](const Entry& entry, benchmark::State& state) {
    if (Steady::now() - last > std::chrono::seconds(10)) measure_again();  // others may have been disturbed
    const Outcome outcome = run_one(entry, device, device_name, ceilings, options.patience);
    rows.push_back({&entry, outcome, table_row(entry, outcome)});
    if (!options.json) say(rows.back().text);
    if (outcome.result) results.push_back(*outcome.result);
    else ++wrong, state.SkipWithError(outcome.wrong.c_str());
    for (auto _ : state) put(results.back(), state);
  };
  for (const Entry* entry : entries)
    benchmark::RegisterBenchmark(entry->name(device_name).c_str(),
                                 [&body, entry](benchmark::State& state) { body(*entry, state); })
        ->UseManualTime()
        ->Iterations(1)
        ->Unit(benchmark::kMicrosecond);
  Silent silent;
  std::once_flag once;  // of two reporters the first
  const auto add_context = [&] {
    std::call_once(once, [&] { add_to_context(machine, versions(device), ceilings); });
  };
  JsonAtEnd display(ceilings, add_context), file(ceilings, add_context);
  benchmark::BenchmarkReporter& shown =
      options.json ? static_cast<benchmark::BenchmarkReporter&>(display) : silent;
  benchmark::RunSpecifiedBenchmarks(&shown, options.out ? &file : nullptr, "all");
  if (!options.ceilings.empty()) write_ceilings(options.ceilings, machine, ceilings);

  if (!options.json)
    say("\n" + ceilings_line(ceilings) + " at best over the run\n" + moved_rows(rows, ceilings));
  if (!options.compare.empty())
    fmt::print(options.json ? stderr : stdout, "{}", compare(results, ceilings, options.compare));
  if (!options.roofline.empty()) {
    std::ofstream svg(options.roofline);
    svg << roofline(results, ceilings, "Kernels under their roofs: " + machine);
    if (!svg.flush()) fail(Exit::write, "--roofline {}: cannot be written", options.roofline);
  }
  if (wrong > 0)
    fmt::print(stderr, "bench_kernels: {} of {} kernels are wrong and have no time\n", wrong, entries.size());
  return wrong > 0 ? static_cast<int>(Exit::failed) : 0;
}

/// Model of the processor, as Linux names it.
std::string processor() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
  return "processor";
}

int run(const Options& options) {
  cpu::Context cpu(options.threads);
#if defined(STOPGRAD_CUDA)
  std::string why;
  const bool available = cuda::available(&why);
  if (options.device == "cuda" || (options.device == "best" && available)) {
    if (!available) fail(Exit::device, "--device cuda: {}", why);
    cuda::Context cuda;
    if (kEmulated)
      fmt::print(
          stderr,
          "*** EMULATED DEVICE: kernels run thread for thread on the CPU. Comparisons hold, times mean "
          "NOTHING. ***\n");
    const cuda::DeviceInfo& info = cuda.info();
    return measure_all(
        options, {nullptr, &cuda}, "cuda",
        fmt::format("{}, sm_{}{}, {} SMs", info.name, info.major, info.minor, info.processors));
  }
#else
  if (options.device == "cuda")
    fail(Exit::device, "--device cuda: this build is for the CPU; configure with --preset cuda");
#endif
  return measure_all(options, {&cpu, nullptr}, "cpu",
                     fmt::format("{}, {} threads", processor(), cpu.threads()));
}

}  // namespace

int main(int argc, char** argv) {
  tools::CommandLine line(kHelp, "bench_kernels");
  Options options;
  std::string list = "false";
  line.keep_unknown();
  line.option("--benchmark_filter", &options.filter, "regular expression; -expression: the others");
  line.option("--benchmark_list_tests", &list, "true: print names and end", {.bare = "true"});
  line.flag("--small", options.small, "with a filter: of the small set only");
  line.option("--benchmark_min_time", &options.patience.least, "seconds per call at least",
              {.least = 0.0, .most = 3600.0});
  line.option("--max_time", &options.patience.most, "seconds per call at most",
              {.least = 0.0, .most = 3600.0});
  line.option("--device", &options.device, "cpu, cuda, or best: cuda where there is one",
              {.choices = {"cpu", "cuda", "best"}});
  line.option("--threads", &options.threads, "of the CPU schedules; 0: all processors",
              {.least = 0, .most = 1024});
  line.option("--shape", &options.shape, "sizes by name, see above");
  line.option("--ceilings", &options.ceilings, "JSON of the best ceilings so far: read, and left better");
  line.option("--compare", &options.compare, "JSON of an earlier run");
  line.option("--roofline", &options.roofline, "where to draw the roofline, as SVG");
  return line.run(argc, argv, [&] {
    options.list = list != "false";
    options.patience.most = std::max(options.patience.most, options.patience.least);
    std::vector<std::string> rest = line.rest();
    std::vector<char*> arguments = {argv[0]};
    for (std::string& option : rest) {
      options.json |= option == "--benchmark_format=json";
      options.out |= option.starts_with("--benchmark_out=");
      arguments.push_back(option.data());
    }
    int count = static_cast<int>(arguments.size());
    benchmark::Initialize(&count, arguments.data());
    if (benchmark::ReportUnrecognizedArguments(count, arguments.data())) return static_cast<int>(Exit::usage);
    return run(options);
  });
}
