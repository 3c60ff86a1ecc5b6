// simsiam train: a recipe, a data set, a folder of results.
#include <filesystem>
#include <optional>

#include "data/open.h"
#include "engine/file.h"
#include "kernels/cpu_features.h"
#include "models/features.h"
#include "models/trainer.h"
#include "tools/commands/commands.h"
#include "tools/curves.h"
#include "tools/evaluation.h"
#include "tools/progress.h"
#include "tools/signals.h"

namespace stopgrad::tools {

namespace {

struct TrainOptions {
  RecipeOptions recipe;
  std::string out = "runs/simsiam", resume;
  bool quiet = false;
};

std::string resume_path(const TrainOptions& o) {
  return o.resume == "auto" ? latest_checkpoint(o.out) : find_checkpoint(o.resume);
}

/// What is trained where no recipe is named: that of the checkpoint, or of a run that has none yet.
Recipe recipe_of_run(const TrainOptions& o, const std::string& from) {
  if (!from.empty()) return recipe_of(from);
  if (o.resume.empty() || !o.recipe.file.empty()) return {};
  const std::string written = o.out + "/recipe.toml";
  if (!std::filesystem::exists(written))
    fail(Exit::usage, "nothing to go on from in {}; name a recipe or --data to begin a run there", o.out);
  return read_recipe(written);
}

/// As its paper writes it.
std::string title_of(const Recipe& recipe) {
  if (recipe.method == "byol") return "BYOL";
  if (recipe.method == "simclr") return "SimCLR";
  if (recipe.method == "moco") return "MoCo v2";
  return recipe.method == "swav" ? "SwAV" : "SimSiam";
}

/// A page that cannot be written is not worth a run's result.
void draw_curves(const TrainOptions& o, const Recipe& recipe, Progress& progress) {
  try {
    view::Page page(fmt::format("{} on {}", title_of(recipe), recipe.data));
    const Curves curves = read_curves(o.out + "/metrics.jsonl", recipe.method);
    add_curves(page, recipe, {&curves});
    write_file(o.out + "/curves.html", page.html());
    if (!o.quiet) progress.line("wrote " + o.out + "/curves.html");
  } catch (const Error& e) {
    progress.line(fmt::format("ALARM curves not drawn: {}", e.what()));
  }
}

int run_train(const TrainOptions& o) {
  StopSignals signals;
  if (o.out.empty()) fail(Exit::usage, "--out is empty: a run needs a folder for its results");
  const std::string from = resume_path(o);
  require_unmixed(o.out, from);
  Recipe recipe = o.recipe.load(recipe_of_run(o, from));
  if (!from.empty() && recipe.precision == "auto")  // a run goes on as it began, on whatever device
    recipe.precision = recipe_of(from).precision;
  const Dataset train = open_split(recipe, Split::train, {}, 0, o.quiet);
  std::optional<Dataset> test;  // what kNN is measured on
  if (!train.labels.empty() && has_test_split(recipe.data))
    test = open_split(recipe, Split::test, {}, 0, o.quiet);
  Model model(recipe, {train.height, train.width, train.channels});
  if (recipe.precision == "bf16" && model.device().is_cpu()) cpu::require_fast_bf16();
  Trainer trainer(model, train, test ? &*test : nullptr, o.out);
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
  events.checkpoint = [&](const std::string& path) {
    if (!o.quiet) progress.line("wrote " + path);
  };
  events.stop = [&] { return signals.seen() != 0; };
  signals.remember();
  const RunEnd end = trainer.run(events);
  progress.finish();
  draw_curves(o, recipe, progress);
  if (end == RunEnd::stopped)
    progress.line(fmt::format("stopped after step {}; go on with: simsiam train --out {} --resume auto",
                              trainer.step(), o.out));
  if (end == RunEnd::stopped) return 128 + signals.seen();
  return static_cast<int>(end == RunEnd::collapsed ? Exit::diverged : Exit::ok);
}

}  // namespace

void add_train(CommandLine& program) {
  auto o = std::make_shared<TrainOptions>();
  CommandLine c = program.command("train", "train SimSiam on a folder of images or a data set",
                                  [o] { return run_train(*o); });
  o->recipe.add_to(c);
  c.option("--out", &o->out,
           "folder for metrics.jsonl, recipe.toml, checkpoints and, at the end, curves.html");
  c.option("--resume", &o->resume,
           "checkpoint to go on from, a folder: its newest, or auto: the newest in --out; by the recipe in "
           "it if none is named",
           {.bare = "auto"});
  c.flag("--quiet", o->quiet, "no progress");
  c.footer(
      "Examples:\n  simsiam train tools/recipes/fashion_mnist.toml --out runs/fashion\n"
      "  simsiam train --data folder:photos --set data.image_size=64 --set augment.preset=imagenet\n"
      "  simsiam train --out runs/fashion --resume auto\n"
      "The first SIGINT, SIGTERM or SIGHUP finishes the step, writes a checkpoint and exits with 130, 143 or "
      "129;\n"
      "the second ends the program at once.");
}

}  // namespace stopgrad::tools
