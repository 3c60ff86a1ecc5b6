// The harness: what is wrong has no time, what is counted is right, noise is no change.
#include <unistd.h>
#include <catch2/catch.hpp>

#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "bench/kernels/json_at_end.h"
#include "bench/kernels/kept_ceilings.h"
#include "bench/kernels/session.h"
#include "kernels/check.h"

namespace stopgrad::bench {

/// y = 2 x, by a kernel that can be told to fail.
struct Doubling {
  int count;
  const float* x;
  float* y;
};
enum class Fault { none, one_element, unwritten };
Fault planted = Fault::none;

void run(const Doubling& call, cpu::Context&) {
  for (int i = 0; i < call.count - (planted == Fault::unwritten); ++i) call.y[i] = 2 * call.x[i];
  if (planted == Fault::one_element) call.y[call.count / 2] += 1e-3f;
}
Work work_of(const Doubling& call) { return {8.0 * call.count, 1.0 * call.count}; }

struct DoublingCase {
  std::string op() const { return "doubling"; }
  std::string shape() const { return "n1000"; }
  Doubling make(Arena& a) const { return {1000, a.random<float>(1000, 1), a.output<float>(1000)}; }
  void check(const Doubling& before, const Doubling& after, Comparison& c) const {
    c.close(
        "y", after.y, 1000, [&](int64_t i) { return 2.0 * before.x[i]; }, test::Tolerance<float>{1, 1});
  }
};

}  // namespace stopgrad::bench

using namespace stopgrad;
using namespace stopgrad::bench;

namespace {

const Ceilings kCeilings{1e10, 1e11, 2e11};

struct Harness {
  Registry registry{Sizes{{"count", 1}}};
  cpu::Context context{1};
  Outcome outcome(Fault fault, BaselineOf<Doubling> baseline = nullptr, Limit limit = Limit::copy) {
    planted = fault;
    registry.entries.clear();
    registry.add<float>(DoublingCase(), true, limit, baseline);
    return run_one(registry.entries[0], {&context, nullptr}, "cpu", kCeilings, {0.001, 0.002, 0.5});
  }
  std::string row(const Outcome& o) { return table_row(registry.entries[0], o); }
};

Result result(const std::string& name, double seconds, double noise) {
  return {name,       "f32", Limit::copy,
          {1e6, 1e6}, 1e10,  0.1,
          1,          "",    {{seconds, seconds * (1 - noise), seconds * (1 + noise), 100}, {}, 0}};
}

/// Remembers which buffer each run had.
struct Watched : Subject {
  std::vector<size_t> ours, theirs;
  Work work() const override { return {1, 1}; }
  size_t copies() const override { return 3; }
  void run(size_t copy) override { ours.push_back(copy); }
  Comparison check() override { return {}; }
  std::string baseline() const override { return "library"; }
  void run_baseline(size_t copy) override { theirs.push_back(copy); }
  Comparison check_baseline() override { return {}; }
};

}  // namespace

TEST_CASE("a right kernel has a time, and its share of the copy bandwidth", "[bench]") {
  Harness harness;
  const Outcome o = harness.outcome(Fault::none);
  REQUIRE(o.result);
  CHECK(o.result->name == "BM_doubling/cpu/f32/n1000");
  CHECK(o.result->measured.ours.median > 0);
  CHECK(o.result->measured.ours.low <= o.result->measured.ours.median);
  CHECK(o.result->rate() == Approx(8000 / o.result->measured.ours.median));
  CHECK(o.result->share() == Approx(o.result->rate() / 1e10));
  CHECK(o.result->tolerance_used <= 1);
  CHECK_THAT(harness.row(o), Catch::Contains("GB/s"));
  const Outcome product = harness.outcome(Fault::none, nullptr, Limit::matmul);
  REQUIRE(product.result);
  CHECK(product.result->share() == Approx(1000 / product.result->measured.ours.median / 1e11));
}

TEST_CASE("runs before the clock is warm are not counted, and buffers take turns", "[bench]") {
  cpu::Context context(1);
  Watched watched;
  const Measurement m = measure(watched, {&context, nullptr}, {0, 1e-4, 0}, true);
  CHECK(m.ours.samples == m.baseline.samples);
  const size_t timed = 8, block = timed + 1, warm_blocks = 2;  // the first of a block wakes the threads
  REQUIRE(watched.theirs.size() == (size_t(m.ours.samples) / timed + warm_blocks) * block);
  CHECK(watched.ours.size() > watched.theirs.size());  // the last ones are back to back
  for (size_t i = 0; i < watched.theirs.size(); ++i) {
    const size_t before = 2 * (i / block) * timed;  // a baseline's runs move on to the next buffers as well
    CHECK(watched.ours[i] == (before + i % block) % 3);
    CHECK(watched.theirs[i] == (before + timed + i % block) % 3);
  }
}

TEST_CASE("a wrong kernel has no time, and the table says where it is wrong", "[bench]") {
  Harness harness;
  for (const Fault fault : {Fault::one_element, Fault::unwritten}) {
    const Outcome o = harness.outcome(fault);
    CHECK_FALSE(o.result);
    const std::string row = harness.row(o);
    CHECK_THAT(row, Catch::Contains("WRONG, no time") && !Catch::Contains("GB/s") && !Catch::Contains(" us"));
    CHECK_THAT(row,
               Catch::Contains(fault == Fault::one_element ? "y[500]" : "y[999] is NaN or was not written"));
  }
}

TEST_CASE("a library that disagrees gives no ratio, one that agrees does", "[bench]") {
  Harness harness;
  const auto right = [](const Doubling&, const Device&) -> Baseline<Doubling> {
    return {"right", [](const Doubling& c) {
              for (int i = 0; i < c.count; ++i) c.y[i] = c.x[i] + c.x[i];
            }};
  };
  const auto lazy = [](const Doubling&, const Device&) -> Baseline<Doubling> {
    return {"lazy", [](const Doubling&) {}};
  };
  const Outcome with = harness.outcome(Fault::none, right), without = harness.outcome(Fault::none, lazy);
  REQUIRE((with.result && without.result));
  const Measurement& both = with.result->measured;
  CHECK(with.result->speedup() == Approx(both.baseline.median / both.ours.median));
  CHECK_THAT(harness.row(with), Catch::Contains("x right"));
  CHECK(without.result->measured.baseline.samples == 0);
  CHECK_THAT(harness.row(without), Catch::Contains("lazy disagrees"));
}

TEST_CASE("bytes are those that performance is reckoned by", "[bench]") {
  float* const some = reinterpret_cast<float*>(64);
  BatchNormForward<float> forward{.groups = 1, .rows = 100, .channels = 10};
  CHECK(work_of(forward).bytes == 12 * 1000);
  forward.residual = some;
  CHECK(work_of(forward).bytes == 16 * 1000);
  CHECK(work_of(BatchNormForward<bf16>{.groups = 2, .rows = 50, .channels = 10}).bytes == 6 * 1000);
  BatchNormBackward<float> backward{.groups = 1, .rows = 100, .channels = 10};
  backward.dx = some;
  CHECK(work_of(backward).bytes == 20 * 1000);
  CHECK(work_of(ConvForward<float>{{64, 32, 32, 64, 64, 3, 1, 1}}).operations == 2.0 * 150994944 / 4 * 64);
  CHECK(work_of(Gemm<bf16, float>{4, 6, 8}).bytes == 2 * (32 + 48) + 4 * 24);
  CosineLossBackward<float> loss{2, 10, 10, {}, {}, nullptr, nullptr, {some, some}, {}, {}, {}};
  CHECK(work_of(loss).bytes == 4 * 6 * 100 + 12 * 20);  // behind the wall no dz is written
}

TEST_CASE("the median's uncertainty shrinks with samples and with their spread", "[bench]") {
  std::vector<double> wide, narrow, many;
  for (int i = 0; i < 100; ++i) wide.push_back(100 + i % 10), narrow.push_back(100 + 0.1 * (i % 10));
  for (int i = 0; i < 10000; ++i) many.push_back(100 + i % 10);
  CHECK(uncertainty({1, 1, 1}) == INFINITY);
  CHECK(uncertainty(narrow) < uncertainty(wide));
  CHECK(uncertainty(many) <= uncertainty(wide));
  const bench::Summary s = summarize({9, 1, 2, 4, 3});
  CHECK((s.median == 3 && s.low == 2 && s.high == 4 && s.spread() == Approx(1 / 3.0)));
}

TEST_CASE("only what moved beyond the noise is named", "[bench]") {
  const std::string path = "bench_compare_test.json";
  std::ofstream(path) << R"({"context": {"copy_bytes_per_second": "8e9"}, "benchmarks": [
    {"name": "BM_a", "run_type": "iteration", "real_time": 100, "low_us": 98, "high_us": 102},
    {"name": "BM_b", "run_type": "iteration", "real_time": 100, "low_us": 98, "high_us": 102},
    {"name": "BM_gone", "run_type": "iteration", "real_time": 100, "low_us": 98, "high_us": 102},
    {"name": "BM_c", "run_type": "iteration", "error_occurred": true, "real_time": 0}]})";
  const std::string text = compare({result("BM_a", 103e-6, 0.02), result("BM_b", 130e-6, 0.02),
                                    result("BM_c", 1, 0), result("BM_new", 1, 0)},
                                   kCeilings, path);
  std::remove(path.c_str());
  CHECK_THAT(text, !Catch::Contains("BM_a") && Catch::Contains("BM_b") && !Catch::Contains("BM_c"));
  CHECK_THAT(
      text, Catch::Contains("1.30x SLOWER") && Catch::Contains("1 of 2 moved") && Catch::Contains("+25.0 %"));
  CHECK_THAT(text, Catch::Contains("2 of this run alone, 1 of the earlier one alone"));
  CHECK_THROWS_AS(compare({}, kCeilings, "no such file"), Error);
}

TEST_CASE("a row is read again by the ceilings of the whole run where they make a difference", "[bench]") {
  Harness harness;
  const Outcome o = harness.outcome(Fault::none);
  const std::vector<Row> rows = {{&harness.registry.entries[0], o, harness.row(o)}};
  CHECK(moved_rows(rows, kCeilings).empty());
  Ceilings risen = kCeilings;
  risen.copy *= 2;
  Outcome wanted = o;
  wanted.result->ceiling = 2e10;
  CHECK_THAT(moved_rows(rows, risen), Catch::EndsWith(harness.row(wanted)));
}

TEST_CASE("JSON has every share by the ceilings of the whole run, statistics none", "[bench]") {
  Ceilings ceilings = kCeilings;
  std::ostringstream text;
  JsonAtEnd json(ceilings, [] { benchmark::AddCustomContext("copy_bytes_per_second", "8e9"); });
  json.SetOutputStream(&text);
  json.ReportContext(benchmark::BenchmarkReporter::Context());
  benchmark::BenchmarkReporter::Run run;
  run.run_name.function_name = "BM_a/cpu/bf16/x";
  run.iterations = 1;
  run.time_unit = benchmark::kMicrosecond;
  run.real_accumulated_time = 1e-3;
  run.counters = {{"bytes", 1e6}, {"operations", 1e8}, {"share_of_copy", 9}};
  benchmark::BenchmarkReporter::Run product = run, mean = run;
  product.counters.erase("share_of_copy");
  product.counters["share_of_matmul"] = 9;
  mean.run_type = benchmark::BenchmarkReporter::Run::RT_Aggregate;
  json.ReportRuns({run, product, mean});
  CHECK(text.str().empty());
  ceilings.copy = 2e9, ceilings.matmul_bf16 = 4e11;
  json.Finalize();
  const auto written = nlohmann::json::parse(text.str());
  CHECK(written["context"]["copy_bytes_per_second"] == "8e9");
  CHECK(written["benchmarks"][0]["share_of_copy"].get<double>() == Approx(0.5));
  CHECK(written["benchmarks"][1]["share_of_matmul"].get<double>() == Approx(0.25));
  CHECK_FALSE(written["benchmarks"][2].contains("share_of_copy"));
}

TEST_CASE("ceilings go from process to process of one machine, each at its best", "[bench]") {
  const auto folder = std::filesystem::temp_directory_path() / fmt::format("ceilings-{}", ::getpid());
  std::filesystem::create_directory(folder);
  const std::string path = folder / "best.json";
  CHECK_FALSE(read_ceilings(path, "a GPU"));
  write_ceilings(path, "a GPU", best_of({1e12, 5e13, 7e14}, {2e12, 4e13, 8e14}));
  const std::optional<Ceilings> kept = read_ceilings(path, "a GPU");
  REQUIRE(kept);
  CHECK((kept->copy == 2e12 && kept->matmul_f32 == 5e13 && kept->matmul_bf16 == 8e14));
  CHECK_FALSE(read_ceilings(path, "another GPU"));
  std::ofstream(path) << "{\"machine\": \"a GPU\"";
  CHECK_THROWS_WITH(read_ceilings(path, "a GPU"), Catch::Contains("remove it"));
  CHECK_THROWS_WITH(write_ceilings(folder / "none" / "x", "a GPU", kCeilings),
                    Catch::Contains("cannot be written"));
  std::filesystem::remove_all(folder);
}

TEST_CASE("buffers that are timed warm take no more than half of the cache", "[bench]") {
  const size_t cache = 50 << 20;
  for (const size_t bytes : {1 << 10, 3 << 20, 8 << 20, 12 << 20, 24 << 20}) {
    const size_t resident = resident_copies(2 * cache / bytes + 1);
    CHECK(resident * bytes <= cache / 2);
    CHECK((resident + 1) * bytes > cache / 2);
  }
  CHECK(resident_copies(2 * cache / (49 << 20) + 1) == 1);
}

TEST_CASE("what CUDA's small set has beyond a CPU's is there", "[bench]") {
  std::map<std::string, int> of;
  for (const Entry& entry : Registry().entries)
    if (of_a_large_step(entry)) {
      CHECK_FALSE(entry.quick);
      ++of[entry.op.substr(0, entry.op.find('_'))];
    }
  CHECK(of == std::map<std::string, int>{{"batch", 8 + 4}, {"augment", 1}, {"conv2d", 12}});
}

TEST_CASE("names are keys: each benchmark has its own", "[bench]") {
  std::set<std::string> names;
  for (const Entry& entry : Registry().entries) {
    INFO(entry.name("cpu"));
    CHECK(names.insert(entry.name("cpu")).second);
  }
  CHECK(names.count("BM_batch_norm_fwd/cpu/bf16/r65536_c64"));
}

TEST_CASE("a shape of one's own goes to the calls that have such sizes", "[bench]") {
  const Registry rows(parse_sizes("channels=96,rows=333"));
  CHECK(rows.entries.size() > 20);
  for (const Entry& entry : rows.entries) CHECK_THAT(entry.shape, Catch::Contains("r333_c96"));
  CHECK(Registry(parse_sizes("m=3,n=4,k=5")).entries.size() == 6);
  for (const char* bad : {"rows", "rows=", "rows=0", "rows=4x", "=4", "rows=4", "rows=1,channels=2,k=3"})
    CHECK_THROWS_AS(Registry(parse_sizes(bad)), Error);
}

TEST_CASE("the roofline holds every kernel that computes", "[bench]") {
  std::vector<Result> results = {result("BM_a_fwd/cpu/f32/x", 1e-3, 0), result("BM_b/cpu/f32/x", 2e-3, 0)};
  results.push_back(result("BM_fill/cpu/f32/x", 1e-3, 0));
  results.back().work.operations = 0;
  const std::string svg = roofline(results, kCeilings, "roofs");
  CHECK_THAT(svg, Catch::Contains("</svg>") && Catch::Contains("copy at 10.0 GB/s"));
  size_t marks = 0;
  for (size_t at = 0; (at = svg.find("class=\"marks\"", at)) != std::string::npos; ++at) ++marks;
  CHECK(marks == 2 + 6);  // and those of the legend
}
