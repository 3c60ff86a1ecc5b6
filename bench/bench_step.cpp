// Pairs per second of a whole SimSiam training step, on either device: where its time goes by node, how far
// each node is from what the machine can do, how much memory it takes, and how long a cold start is.
//   bench_step --net a --breakdown --trace step.json          bench_step --net a --views --threads 1
#include <fmt/ranges.h>

#include <numeric>

#include "bench/step/process.h"
#include "bench/step/report.h"
#include "bench/step/steps.h"
#include "bench/versions.h"
#include "data/synthetic.h"
#include "engine/file.h"
#include "tools/command_line.h"

using namespace stopgrad;
using namespace stopgrad::bench;
using nlohmann::json;

namespace {

struct Options {
  std::string net = "b", precision = "float32", device = "auto", form = "auto", trace;
  int steps = 10, warm_up = 3, block = 0, threads = 0, breakdown_steps = 3;
  int64_t batch = 0;
  bool breakdown = false, views = false, eager = false, json = false;
};

Net net_with(const Options& o) {
  Net net = net_of(o.net, o.batch);
  net.recipe.precision = o.precision;
  net.recipe.device = o.device;
  net.recipe.form = o.form;
  net.recipe.threads = o.threads;
  net.recipe.graph = !o.eager;
  return net;
}

json facts(const Options& o, const Net& net, const Model& model) {
  return {{"name", fmt::format("stopgrad {} {}", o.net, o.precision)},
          {"net", o.net},
          {"precision", o.precision},
          {"device", model.compute().name()},
          {"built", versions(model.device())},
          {"threads", model.compute().threads()},
          {"pairs", net.recipe.batch}};
}

double mib(size_t bytes) { return static_cast<double>(bytes) / (1 << 20); }

void add_steps(json& out, const StepsTaken& taken, Model& model, size_t free_before) {
  const PoolStats step = model.step_memory().stats(), kept = model.permanent().stats();
  out["seconds"] = taken.seconds;
  // The mean has what happens in one step of fifty, and a median hides.
  const double all = std::accumulate(taken.seconds.begin(), taken.seconds.end(), 0.0);
  out["mean_pairs_per_second"] = out["pairs"].get<double>() * double(taken.seconds.size()) / all;
  if (!taken.without_views.empty()) out["step_seconds"] = taken.without_views;
  if (taken.cold_start) out["cold_start_seconds"] = *taken.cold_start;
  out["parameters"] = model.slab().parameter_count();
  out["peak_rss_mib"] = peak_mib();
  out["pool_mib"] = mib(step.system_bytes);
  out["pool_peak_mib"] = mib(step.peak_bytes);
  out["permanent_mib"] = mib(kept.system_bytes);
  out["pool_requests"] = step.system_requests;
  out["requests_after_step_2"] = taken.requests_after_two;
  out["allocations_per_step"] = taken.blocks_per_step;
  out["replays"] = taken.replays;
  if (free_before > 0) out["device_mib"] = mib(free_before - model.compute().free_bytes());
}

void print_steps(const Options& o, const json& out) {
  const double pairs = out["pairs"];
  const double all = median(out["seconds"].get<std::vector<double>>());
  fmt::print("net {} {} on {}, {} pairs: {:.2f} ms per step, {:.1f} pairs/s, {:.1f} over all timed steps",
             o.net, o.precision, out["device"].get<std::string>(), out["pairs"].get<int64_t>(), all * 1e3,
             pairs / all, out["mean_pairs_per_second"].get<double>());
  if (out.contains("step_seconds")) {
    const double step = median(out["step_seconds"].get<std::vector<double>>());
    fmt::print("; without views {:.2f} ms, views {:.2f} % of the step", step * 1e3, 100 * (all - step) / all);
  }
  fmt::print(
      "\n{} parameters, {} threads, peak of the process {} MiB, pool {:.0f} MiB in {} requests, {} of them "
      "after "
      "step 2, {} blocks per step\n",
      out["parameters"].get<int64_t>(), out["threads"].get<int>(), out["peak_rss_mib"].get<int64_t>(),
      out["pool_mib"].get<double>(), out["pool_requests"].get<int64_t>(),
      out["requests_after_step_2"].get<int64_t>(), out["allocations_per_step"].get<int64_t>());
  if (out.contains("device_mib")) fmt::print("device memory {:.0f} MiB\n", out["device_mib"].get<double>());
  if (out.contains("cold_start_seconds"))
    fmt::print("cold start to step 10: {:.2f} s\n", out["cold_start_seconds"].get<double>());
}

int run_views(const Options& o, const Net& net, Model& model, const Dataset& set) {
  json out = facts(o, net, model);
  const std::vector<double> seconds = make_views(model, set, o.steps);
  out["views"] = 2 * net.recipe.batch;
  out["seconds"] = seconds;
  const double views = out["views"];
  if (o.json) fmt::print("{}\n", out.dump());
  else
    fmt::print("net {}: {:.2f} us per view, {:.0f} views/s on {} with {} threads\n", o.net,
               median(seconds) / views * 1e6, views / median(seconds), model.compute().name(),
               model.compute().threads());
  return 0;
}

int run(const Options& o) {
  const Net net = net_with(o);
  const Dataset set = make_synthetic(net.set_size, net.images.height, net.images.channels, 1, Split::train);
  const size_t free_before = Compute(o.device, o.threads, o.precision).free_bytes();
  Model model(net.recipe, net.images);
  if (o.views) return run_views(o, net, model, set);
  Trainer trainer(model, set, nullptr, "");
  const int block = o.block > 0 ? o.block : model.device().is_cpu() ? 1 : 10;
  const StepsTaken taken = take_steps(model, trainer, o.warm_up, o.steps, block);
  json out = facts(o, net, model);
  add_steps(out, taken, model, free_before);
  if (!o.json) print_steps(o, out);
  if (o.breakdown || !o.trace.empty()) {
    const StepBreakdown b = break_down(model, trainer, set, o.breakdown_steps);
    const Rates rates = measure_rates(model.device(), model.activations());
    const double step = median(taken.seconds);
    if (o.json) out["breakdown"] = json_of(b, rates, step);
    else fmt::print("{}", table_of(b, rates, step));
    if (!o.trace.empty())
      write_file(o.trace, trace_of(b.last, rates, "one step of " + out["name"].get<std::string>()).dump());
  }
  if (o.json) fmt::print("{}\n", out.dump());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  tools::CommandLine line("Pairs per second of a whole SimSiam training step, and where its time goes.",
                          "bench_step");
  Options o;
  line.option("--net", &o.net, "see bench/step/nets.h", {.choices = net_names()});
  line.option("--batch", &o.batch, "pairs per step; 0: the net's own");
  line.option("--device", &o.device, "auto, cpu, cuda or cuda:N");
  line.option("--precision", &o.precision, "of activations",
              {.choices = {"float32", "tf32", "bf16", "float64"}});
  line.option("--form", &o.form, "views one after the other (branch) or together (batched)",
              {.choices = {"auto", "branch", "batched"}});
  line.option("--threads", &o.threads, "0: all processors");
  line.option("--steps", &o.steps, "measurements", {.least = 1, .most = 10000});
  line.option("--warmup", &o.warm_up, "steps before them", {.least = 0, .most = 10000});
  line.option("--block", &o.block, "steps per measurement; 0: 1 on the CPU, 10 on CUDA");
  line.flag("--breakdown", o.breakdown, "time of each node, and the rates of the machine");
  line.option("--breakdown-steps", &o.breakdown_steps, "medians over so many", {.least = 1, .most = 1000});
  line.option("--trace", &o.trace, "write one step as Chrome-trace JSON");
  line.flag("--eager", o.eager, "on CUDA: every step launched anew, no graph");
  line.flag("--views", o.views, "make views only");
  line.flag("--json", o.json, "one line of JSON");
  return line.run(argc, argv, [&] { return run(o); });
}
