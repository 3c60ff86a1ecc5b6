// simsiam train: a recipe, a data set, a folder of results.
#include <CLI/CLI.hpp>
#include <csignal>

#include "kernels/cpu_features.h"
#include "models/features.h"
#include "models/trainer.h"
#include "tools/commands/commands.h"
#include "tools/evaluation.h"
#include "tools/progress.h"

namespace stopgrad::tools {

namespace {

volatile std::sig_atomic_t signal_seen = 0;

/// The first signal asks for a checkpoint; the second gets the default action.
void on_signal(int number) {
  signal_seen = number;
  std::signal(number, SIG_DFL);
}

struct TrainOptions {
  RecipeOptions recipe;
  std::string out = "runs/simsiam", resume;
  bool quiet = false;
};

std::string resume_path(const TrainOptions& o) {
  if (o.resume != "auto") return o.resume;
  return latest_checkpoint(o.out);
}

int exit_code_of(RunEnd end) {
  if (end == RunEnd::stopped) return 128 + signal_seen;
  return static_cast<int>(end == RunEnd::collapsed ? Exit::diverged : Exit::ok);
}

int run_train(const TrainOptions& o) {
  const std::string from = resume_path(o);
  require_unmixed(o.out, from);
  Recipe recipe = o.recipe.load(from.empty() ? Recipe{} : recipe_of(from));
  if (!from.empty() && recipe.precision == "auto")  // a run goes on as it began, on whatever device
    recipe.precision = recipe_of(from).precision;
  const Dataset train = open_split(recipe, Split::train), test = open_split(recipe, Split::test);
  Model model(recipe, {train.height, train.width, train.channels});
  if (recipe.precision == "bf16" && model.device().is_cpu()) cpu::require_fast_bf16();
  Trainer trainer(model, train, &test, o.out);
  std::string difference;
  if (!from.empty()) difference = trainer.resume(from);

  Progress progress(trainer.step(), recipe.batch * model.method().views(), o.quiet);
  progress.line(fmt::format(
      "{}: {} images {}x{}x{}; {} parameters; {} steps of {} images; {}, {}{}", train.name, train.count,
      train.height, train.width, train.channels, short_count(model.slab().parameter_count()),
      trainer.total_steps(), recipe.batch, model.compute().describe(), model.recipe().precision,
      from.empty() ? "" : fmt::format("; resumed from {} at step {}", from, trainer.step())));
  if (!difference.empty()) progress.line(difference);
  TrainerEvents events;
  events.step = [&](const StepReport& r) { progress.step(r); };
  events.knn = [&](const KnnReport& r) {
    progress.line(fmt::format("step {}: kNN {:.2f} %", r.step + 1, r.accuracy));
  };
  events.alarm = [&](const std::string& text) { progress.line("ALARM " + text); };
  events.checkpoint = [&](const std::string& path) { progress.line("wrote " + path); };
  events.stop = [] { return signal_seen != 0; };
  std::signal(SIGINT, on_signal);
  std::signal(SIGTERM, on_signal);
  const RunEnd end = trainer.run(events);
  progress.finish();
  if (end == RunEnd::stopped)
    progress.line(fmt::format("stopped after step {}; go on with: simsiam train --out {} --resume auto",
                              trainer.step(), o.out));
  return exit_code_of(end);
}

}  // namespace

void add_train(CLI::App& app, int& exit_code) {
  auto o = std::make_shared<TrainOptions>();
  CLI::App* c = app.add_subcommand("train", "train SimSiam on a folder of images or a data set");
  o->recipe.add_to(*c);
  c->add_option("--out", o->out, "folder for metrics.jsonl, recipe.toml and checkpoints")
      ->capture_default_str();
  c->add_option(
       "--resume", o->resume,
       "checkpoint to go on from, or auto: the newest in --out; by the recipe in it if none is named")
      ->expected(0, 1)
      ->default_str("auto");
  c->add_flag("--quiet", o->quiet, "no progress");
  c->footer(
      "Examples:\n  simsiam train tools/recipes/fashion_mnist.toml --out runs/fashion\n"
      "  simsiam train --data folder:photos --set data.image_size=64 --set augment.preset=imagenet\n"
      "  simsiam train --out runs/fashion --resume auto\n"
      "The first SIGINT or SIGTERM finishes the step, writes a checkpoint and exits with 130 or 143.");
  c->callback([o, &exit_code] { exit_code = run_train(*o); });
}

}  // namespace stopgrad::tools
