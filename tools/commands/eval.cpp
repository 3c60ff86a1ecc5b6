// simsiam eval: how good are the frozen features? kNN and a linear probe, beside raw pixels and the untrained
// net.
#include <nlohmann/json.hpp>

#include "data/open.h"
#include "models/features.h"
#include "models/linear_probe.h"
#include "models/run_folder.h"
#include "tools/commands/commands.h"
#include "tools/evaluation.h"
#include "tools/progress.h"

namespace stopgrad::tools {

namespace {

struct EvalOptions {
  std::string checkpoint, data, device = "auto";
  int64_t threads = 0, limit = 0;
  int linear_epochs = 100;
  bool robust = false, baselines = false, json = false, no_linear = false;
};

int run_eval(const EvalOptions& o) {
  const std::string checkpoint = find_checkpoint(o.checkpoint);
  const auto model = load_model(checkpoint, o.threads, o.device);
  const DataPair data = open_pair(model->recipe(), o.data, o.limit);
  if (o.baselines && data.train.count < 2)
    fail(Exit::usage,
         "--baselines needs two training images for the untrained net's batch norms, there is {}",
         data.train.count);
  const uint64_t before = backbone_hash(*model);
  nlohmann::ordered_json out;
  out["checkpoint"] = checkpoint;
  out["train_images"] = data.train.count;
  out["test_images"] = data.test.count;
  std::vector<EvalView> views = {EvalView::clean};
  if (o.robust) views.push_back(EvalView::robust);
  for (EvalView view : views) {
    const std::string prefix = view == EvalView::robust ? "robust_" : "";
    const Tensor bank = extract_features(*model, data.train, view, count_images("training images")),
                 queries = extract_features(*model, data.test, view, count_images("test images"));
    out[prefix + "knn"] = knn_of_features(model->recipe(), bank, data.train, queries, data.test);
    if (!o.no_linear) {
      LinearProbeOptions probe{.epochs = o.linear_epochs};
      probe.seed = static_cast<uint64_t>(model->recipe().seed);
      const LinearProbeResult r =
          linear_probe(bank, data.train.labels, queries, data.test.labels, class_count(data.train), probe);
      out[prefix + "linear"] = r.test_accuracy;
      out[prefix + "linear_train"] = r.train_accuracy;
    }
    if (o.baselines) {
      out[prefix + "knn_pixels"] = knn_of_pixels(*model, data, view);
      out[prefix + "knn_untrained"] = knn_of_untrained(*model, data, view);
    }
  }
  if (backbone_hash(*model) != before)
    fail(Exit::failed, "the backbone changed during evaluation; this is a bug, the figures mean nothing");
  out["backbone_unchanged"] = true;
  if (o.json) fmt::print("{}\n", out.dump());
  else
    for (const auto& [key, value] : out.items())
      fmt::print("{:<20} {}\n", key,
                 value.is_number_float() ? fmt::format("{:.2f} %", value.get<double>()) : value.dump());
  return 0;
}

}  // namespace

void add_eval(CommandLine& program) {
  auto o = std::make_shared<EvalOptions>();
  CommandLine c = program.command("eval", "kNN and linear probe on a checkpoint's frozen features",
                                  [o] { return run_eval(*o); });
  c.option("checkpoint", &o->checkpoint, "checkpoint, or the folder of a run: its newest one",
           {.required = true});
  c.option("--data", &o->data, "another labelled set than the recipe's, of the same image size");
  c.option("--limit", &o->limit, "use only the first so many training images; 0: all", {.least = 0});
  c.option("--linear-epochs", &o->linear_epochs, "of the probe", {.least = 1, .most = 100000});
  c.option("--device", &o->device, "auto, cpu, cuda or cuda:N");
  c.option("--threads", &o->threads, "0: all processors");
  c.flag("--no-linear", o->no_linear, "kNN only");
  c.flag("--robust", o->robust, "also with every image cropped, flipped and jittered once, by a fixed seed");
  c.flag("--baselines", o->baselines, "also raw pixels and the same net at its start values");
  c.flag("--json", o->json, "one line of JSON on stdout");
  c.footer("Example:\n  simsiam eval runs/fashion --robust --baselines");
}

}  // namespace stopgrad::tools
