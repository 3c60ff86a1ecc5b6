// Runs all versions of a ladder: each must first agree with the CPU schedule, then it is timed.
//   bench_ladder batch_norm_forward --rows 524288 --channels 64 --dtype bf16 [--json]
#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>

#include "bench/kernels/measure.h"
#include "bench/ladder/problems.h"
#include "tools/command_line.h"

using namespace stopgrad;
using namespace stopgrad::ladder;

namespace {

struct Options {
  std::string topic, dtype = "bf16";
  int rows = 0, channels = 0;  // augment: images, and their sides; 0: the topic's own
  bool json = false;
};

/// One version against the CPU and by the clock; without times where it is wrong or the device is emulated.
struct Rung {
  std::string name;
  double bytes, used;  // per element; the largest share of a tolerance
  bool wrong;
  bench::Summary time{};
  double rate = 0, share = 0, speed_up = 0;
};

void print_header(const std::string& title, const std::string& device, bool emulated, double copy) {
  fmt::print("{}, on {}\n", title, device);
  if (emulated)
    fmt::print("The emulated device: results are checked; times would mean nothing and are not printed.\n");
  else fmt::print("A copy moves {:.0f} GB/s here, bytes read and bytes written.\n", copy / 1e9);
  fmt::print("{:<22}{:>10}{:>12}{:>12}{:>22}{:>9}{:>8}{:>10}\n", "version", "tolerance", "bytes per",
             "median", "quartiles", "GB/s", "of copy", "speed-up");
  fmt::print("{:<22}{:>10}{:>12}{:>12}{:>22}{:>9}{:>8}{:>10}\n", "", "used", "element", "us", "us", "", "",
             "");
}

void print(const Rung& r) {
  fmt::print("{:<22}{:>8.1f} %", r.name, 100 * r.used);
  if (r.wrong) fmt::print("   differs from the CPU: no time\n");
  else if (r.time.samples == 0) fmt::print("{:>12.1f}\n", r.bytes);
  else
    fmt::print("{:>12.1f}{:>12.2f}{:>22}{:>9.0f}{:>6.1f} %{:>10.1f}\n", r.bytes, 1e6 * r.time.median,
               fmt::format("{:.2f} to {:.2f}", 1e6 * r.time.low, 1e6 * r.time.high), r.rate / 1e9,
               100 * r.share, r.speed_up);
}

nlohmann::json json_of(const Rung& r) {
  nlohmann::json out = {
      {"name", r.name}, {"bytes_per_element", r.bytes}, {"tolerance_used", r.used}, {"wrong", r.wrong}};
  if (r.time.samples > 0)
    out.update({{"us", 1e6 * r.time.median},
                {"low_us", 1e6 * r.time.low},
                {"high_us", 1e6 * r.time.high},
                {"samples", r.time.samples},
                {"share_of_copy", r.share},
                {"speed_up", r.speed_up}});
  return out;
}

/// A call on memory of its own.
template <class Problem>
struct Copy {
  Mirror mirror;
  typename Problem::Call call;
  explicit Copy(Problem& problem) : call(problem.place(mirror)) {}
};

/// Enough copies that each is out of the cache when its turn comes.
template <class Problem>
auto copies_of(Problem& problem, size_t bytes, size_t cache) {
  std::vector<std::unique_ptr<Copy<Problem>>> copies;
  const size_t count = std::clamp<size_t>(2 * cache / bytes + 1, 2, 64);
  while (copies.size() < count) copies.push_back(std::make_unique<Copy<Problem>>(problem));
  return copies;
}

/// Seconds of one run: of batches that go once through all copies, one to warm up, then 30 or what two
/// seconds allow.
template <class F>
bench::Summary time_batches(int copies, bool emulated, F run) {
  bench::time_all_cuda(device(), copies, run);
  std::vector<double> each;
  double spent = 0;
  for (int k = 0; k < (emulated ? 1 : 30) && (k < 3 || spent < 2); ++k) {
    each.push_back(bench::time_all_cuda(device(), copies, run) / copies);
    spent += each.back() * copies;
  }
  return bench::summarize(each);
}

/// Bytes per second that a copy of `size` bytes reads and writes.
double copy_rate(size_t size, bool emulated) {
  cuda::Context& context = device();
  void *const from = context.allocate(size), *const to = context.allocate(size);
  context.fill(from, 1, size);
  const bench::Summary time = time_batches(4, emulated, [&](int) { context.copy_on_device(to, from, size); });
  context.free(from);
  context.free(to);
  return 2 * static_cast<double>(size) / time.median;
}

template <class Call, class Problem>
int climb(const Options& o, const std::string& shape, Problem problem, size_t element) {
  cuda::Context& context = device();
  const bool emulated = context.info().name.ends_with("(emulated)");
  const double elements = static_cast<double>(problem.elements());
  const double copy = copy_rate(size_t{1} << (emulated ? 20 : 28), emulated);
  if (!o.json)
    print_header(fmt::format("{}, {}, {}", o.topic, o.dtype, shape), context.info().name, emulated, copy);
  nlohmann::json json = {
      {"device", context.info().name}, {"topic", o.topic}, {"dtype", o.dtype}, {"shape", shape}};
  if (!emulated) json["copy_bytes_per_second"] = copy;

  const auto copies =
      copies_of(problem, static_cast<size_t>(elements) * element, bench::last_cache_bytes_cuda(context));
  double first = 0;
  int failed = 0, number = 0;
  for (const Version<Call>& version : versions<Call>()) {
    run_version(problem, version);
    Rung rung{fmt::format("{} {}", ++number, version.name), version.bytes, problem.used(), false};
    rung.wrong = !(rung.used <= 1);
    failed += rung.wrong;
    if (!rung.wrong && !emulated) {
      rung.time = time_batches(static_cast<int>(copies.size()), emulated,
                               [&](int i) { version.run(copies[static_cast<size_t>(i)]->call, context); });
      rung.rate = elements * version.bytes / rung.time.median;
      rung.share = rung.rate / copy;
      if (first == 0) first = rung.time.median;
      rung.speed_up = first / rung.time.median;
    }
    if (o.json) json["versions"].push_back(json_of(rung));
    else print(rung);
  }
  if (o.json) fmt::print("{}\n", json.dump());
  return failed == 0 ? 0 : 1;
}

template <template <class> class Problem, class T>
int climb_matrix(const Options& o, int rows, int channels) {
  if (device().info().name.ends_with("(emulated)")) rows = std::min(rows, 1024);
  if (o.rows > 0) rows = o.rows;
  if (o.channels > 0) channels = o.channels;
  return climb<typename Problem<T>::Call>(o, fmt::format("[{}, {}]", rows, channels),
                                          Problem<T>(rows, channels, Data::random), sizeof(T));
}

template <class T>
int run(const Options& o) {
  if (o.topic == "batch_norm_forward") return climb_matrix<BatchNormForwardProblem, T>(o, 524288, 64);
  if (o.topic == "batch_norm_backward") return climb_matrix<BatchNormBackwardProblem, T>(o, 524288, 64);
  if (o.topic == "cosine_loss_forward") return climb_matrix<CosineForwardProblem, T>(o, 512, 2048);
  if (o.topic == "cosine_loss_backward") return climb_matrix<CosineBackwardProblem, T>(o, 512, 2048);
  const int images = o.rows > 0 ? o.rows : device().info().name.ends_with("(emulated)") ? 4 : 512;
  const int side = o.channels > 0 ? o.channels : 32;
  return climb<Augment<T>>(o, fmt::format("two views of {} images of {}x{}x3", images, side, side),
                           AugmentProblem<T>(Images(images, side, side, 3), {side, side, 3}), sizeof(T));
}

}  // namespace

int main(int argc, char** argv) {
  tools::CommandLine line("All versions of a kernel, from naive to shipped.", "bench_ladder");
  Options o;
  line.option("topic", &o.topic, "which kernel",
              {.choices = {"batch_norm_forward", "batch_norm_backward", "cosine_loss_forward",
                           "cosine_loss_backward", "augment"},
               .required = true});
  line.option("--dtype", &o.dtype, "of activations", {.choices = {"float32", "bf16"}});
  line.option("--rows", &o.rows, "rows of the matrix; of augment: images", {.least = 1, .most = 1 << 24});
  line.option("--channels", &o.channels, "of the matrix; of augment: side of the images, at most 128",
              {.least = 1, .most = 1 << 16});
  line.flag("--json", o.json, "one line of JSON");
  return line.run(argc, argv, [&] {
    std::string why;
    if (!cuda::available(&why)) fail(Exit::device, "{}", why);
    return o.dtype == "bf16" ? run<bf16>(o) : run<float>(o);
  });
}
