// Pairs per second of a whole SimSiam training step on the CPU, with and without making the views.
//   a: CIFAR ResNet-18, projector 2048-2048, predictor 2048-512-2048, 64 pairs of 32x32x3
//   b: widths 16/32/64/128, two blocks each, projector 256-256-256, predictor 256-64-256, 256 pairs of
//   28x28x1
#include <fmt/ranges.h>
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <nlohmann/json.hpp>

#include "data/synthetic.h"
#include "models/trainer.h"

using namespace stopgrad;

namespace {

struct Net {
  Recipe recipe;
  int side, channels;
};

Net net_of(const std::string& name) {
  Net n;
  n.recipe.steps = 1 << 20;
  n.recipe.stem_stride = 1;
  if (name == "a") {
    n.recipe.backbone = "resnet18";
    n.recipe.projector = {2048, 2048};
    n.recipe.predictor_hidden = 512;
    n.recipe.batch = 64;
    set_key(n.recipe, "augment.preset=cifar");
    n.side = 32;
    n.channels = 3;
  } else {
    n.recipe.widths = {16, 32, 64, 128};
    n.recipe.blocks = {2, 2, 2, 2};
    n.recipe.projector = {256, 256, 256};
    n.recipe.batch = 256;
    n.side = 28;
    n.channels = 1;
  }
  return n;
}

double median(std::vector<double> v) {
  std::nth_element(v.begin(), v.begin() + static_cast<std::ptrdiff_t>(v.size() / 2), v.end());
  return v[v.size() / 2];
}

int64_t peak_mib() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss / 1024;
}

int run(const std::string& name, const std::string& precision, int steps, int threads, int64_t batch,
        bool json) {
  Net net = net_of(name);
  net.recipe.precision = precision;
  net.recipe.threads = threads;
  if (batch > 0) net.recipe.batch = batch;
  const Dataset set =
      make_synthetic(std::max<int64_t>(1024, net.recipe.batch), net.side, net.channels, 1, Split::train);
  Model model(net.recipe, {net.side, net.side, net.channels});
  Trainer trainer(model, set, nullptr, "");
  std::vector<double> whole, step_only;
  for (int i = 0; i < steps + 3; ++i) {
    const StepReport r = trainer.train_step();
    if (i < 3) continue;
    whole.push_back(r.seconds);
    step_only.push_back(r.seconds - r.view_seconds);
  }
  const double pairs = static_cast<double>(net.recipe.batch);
  if (json) {
    const nlohmann::json out = {{"name", fmt::format("stopgrad {} {}", name, precision)},
                                {"pairs", net.recipe.batch},
                                {"seconds", whole},
                                {"step_seconds", step_only},
                                {"peak_rss_mib", peak_mib()},
                                {"pool_mib", model.step_memory().stats().system_bytes >> 20}};
    fmt::print("{}\n", out.dump());
    return 0;
  }
  const double all = median(whole), step = median(step_only);
  fmt::print(
      "net {} {}: {:.1f} ms per step, {:.1f} pairs/s; without views {:.1f} ms; views {:.2f} % of the step\n",
      name, precision, all * 1e3, pairs / all, step * 1e3, 100 * (all - step) / all);
  fmt::print("{} parameters, {} threads, peak {} MiB, pool {} MiB in {} requests\n",
             model.slab().parameter_count(), model.device().cpu->threads(), peak_mib(),
             model.step_memory().stats().system_bytes >> 20, model.step_memory().stats().system_requests);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Pairs per second of a whole SimSiam training step.", "bench_step");
  std::string net = "b", precision = "float32";
  int steps = 10, threads = 0;
  int64_t batch = 0;
  bool json = false;
  app.add_option("--net", net, "a or b, see the source's head")->check(CLI::IsMember({"a", "b"}));
  app.add_option("--precision", precision)->check(CLI::IsMember({"float32", "bf16", "float64"}));
  app.add_option("--steps", steps, "measured, after three to warm up")->check(CLI::Range(1, 10000));
  app.add_option("--threads", threads, "0: all processors");
  app.add_option("--batch", batch, "0: the net's own");
  app.add_flag("--json", json, "one line of JSON");
  CLI11_PARSE(app, argc, argv);
  try {
    return run(net, precision, steps, threads, batch, json);
  } catch (const Error& e) {
    fmt::print(stderr, "bench_step: {}\n", e.what());
    return static_cast<int>(e.code());
  }
}
