// simsiam demo: the same net trained with the wall and without it, side by side.
#include <nlohmann/json.hpp>

#include "engine/file.h"
#include "engine/graph/view.h"
#include "models/trainer.h"
#include "tools/commands/commands.h"
#include "tools/curves.h"
#include "tools/evaluation.h"
#include "tools/progress.h"
#include "tools/view/page.h"

namespace stopgrad::tools {

namespace {

using Clock = std::chrono::steady_clock;
double since(Clock::time_point t) { return std::chrono::duration<double>(Clock::now() - t).count(); }

struct DemoOptions {
  RecipeOptions recipe;
  std::string out = "runs/demo";
  double seconds = 0;
  int64_t bank = 30000;
  bool quiet = false;
};

/// One of the two runs: its curves and its figures.
struct Arm {
  std::string name, directory;
  Curves curves;
  double knn = 0, robust_knn = 0, seconds = 0;
  std::string checkpoint;
};

/// Steps that fit into so many seconds, from a rate measured on the spot.
int64_t steps_for(const Recipe& recipe, const Dataset& train, double seconds) {
  Model model(recipe, {train.height, train.width, train.channels});
  Trainer trainer(model, train, nullptr, "");
  for (int i = 0; i < 3; ++i) trainer.train_step();
  const auto start = Clock::now();
  int64_t done = 0;
  while (done < 5 || since(start) < 3) {
    trainer.train_step();
    ++done;
  }
  return std::max<int64_t>(10, std::llround(seconds / (since(start) / static_cast<double>(done))));
}

void draw_graph(const Recipe& recipe, const Dataset& train, bool wall, const std::string& path) {
  Recipe r = recipe;
  r.stop_gradient = wall;
  r.batch = 16;
  Model model(r, {train.height, train.width, train.channels});
  Tape tape;
  tape.measure_gradients(true);
  const MethodOutput step = Trainer(model, train, nullptr, "").forward(tape, 0);
  tape.backward(step.loss);
  GraphOptions options;
  options.title = wall ? "SimSiam: where the gradient flows and where it stops" : "SimSiam without the wall";
  write_file(path, to_svg(make_picture(tape, options)));
}

/// Trains one arm and evaluates it.
Arm run_arm(Recipe recipe, bool wall, const DataPair& data, const DataPair& bank, const DemoOptions& o) {
  Arm arm;
  arm.name = arm.curves.name = wall ? "with the wall" : "wall removed";
  arm.directory = o.out + (wall ? "/with_wall" : "/without_wall");
  recipe.stop_gradient = wall;
  recipe.knn_every = recipe.checkpoint_every = 0;
  Model model(recipe, {data.train.height, data.train.width, data.train.channels});
  remove_checkpoints(arm.directory);  // of an earlier demo: this one takes its place
  Trainer trainer(model, data.train, nullptr, arm.directory);
  Progress progress(0, recipe.batch * model.method().views(), o.quiet);
  progress.line(fmt::format("\n{}: {} steps of {} pairs, {} parameters, {}", arm.name, trainer.total_steps(),
                            recipe.batch, short_count(model.slab().parameter_count()),
                            model.recipe().precision));
  TrainerEvents events;
  events.step = [&](const StepReport& r) {
    progress.step(r);
    arm.curves.add(r);
  };
  events.alarm = [&](const std::string& text) { progress.line("ALARM " + text); };
  events.checkpoint = [&](const std::string& path) { arm.checkpoint = path; };
  const auto start = Clock::now();
  trainer.run(events);
  arm.seconds = since(start);
  progress.finish();
  progress.line("evaluating ...");
  auto knn = [&](EvalView view) {
    return knn_of_features(recipe, extract_features(model, bank.train, view), bank.train,
                           extract_features(model, bank.test, view), bank.test);
  };
  arm.knn = knn(EvalView::clean);
  arm.robust_knn = knn(EvalView::robust);
  return arm;
}

struct Baselines {
  double pixels = 0, robust_pixels = 0, untrained = 0, robust_untrained = 0;
};

Baselines baselines(const Recipe& recipe, const DataPair& bank) {
  Model model(recipe, {bank.train.height, bank.train.width, bank.train.channels});
  return {knn_of_pixels(model, bank, EvalView::clean), knn_of_pixels(model, bank, EvalView::robust),
          knn_of_untrained(model, bank, EvalView::clean), knn_of_untrained(model, bank, EvalView::robust)};
}

/// The mean of the last tenth: single steps are noisy.
double level(const std::vector<double>& v) {
  const size_t n = std::max<size_t>(1, v.size() / 10);
  return std::accumulate(v.end() - static_cast<std::ptrdiff_t>(n), v.end(), 0.0) / static_cast<double>(n);
}

void write_page(const std::string& path, const Recipe& recipe, const Arm& a, const Arm& b,
                const Baselines& base, const std::string& summary) {
  view::Page page("SimSiam with the wall and without it");
  page.paragraph(fmt::format(
      "Data: {}. The same net, seed and {} steps twice; the second time the stop-gradient is removed.",
      recipe.data, a.curves.step.size()));
  add_curves(page, recipe, {&a.curves, &b.curves});
  view::BarChart bars;
  bars.title = "kNN accuracy, per cent";
  bars.groups = {"raw pixels", "untrained net", a.name, b.name};
  bars.series = {{"plain", {base.pixels, base.untrained, a.knn, b.knn}},
                 {"cropped, flipped, jittered",
                  {base.robust_pixels, base.robust_untrained, a.robust_knn, b.robust_knn}}};
  page.figure(
      view::to_svg(bars),
      "Plain images of this set are aligned, so raw pixels do well; the second bar shows what is learnt.");
  page.data(summary, "summary");
  write_file(path, page.html());
}

int run_demo(const DemoOptions& o) {
  const auto start = Clock::now();
  Recipe recipe = o.recipe.load();
  const DataPair data = open_pair(recipe, {}, 0, o.quiet);
  if (o.seconds > 0) {
    recipe.epochs = 0;
    recipe.steps = steps_for(recipe, data.train, o.seconds);
  }
  Dataset part;
  const DataPair bank{first_images(data.train, o.bank, part), data.test};
  const Arm a = run_arm(recipe, true, data, bank, o);
  const Arm b = run_arm(recipe, false, data, bank, o);
  const Baselines base = baselines(recipe, bank);
  draw_graph(recipe, data.train, true, o.out + "/graph.svg");
  draw_graph(recipe, data.train, false, o.out + "/graph_without_wall.svg");

  const nlohmann::ordered_json summary = {{"data", data.train.name},
                                          {"seed", recipe.seed},
                                          {"steps", a.curves.step.size()},
                                          {"knn_pixels", base.pixels},
                                          {"knn_untrained", base.untrained},
                                          {"knn_trained", a.knn},
                                          {"knn_no_wall", b.knn},
                                          {"robust_knn_pixels", base.robust_pixels},
                                          {"robust_knn_untrained", base.robust_untrained},
                                          {"robust_knn_trained", a.robust_knn},
                                          {"robust_knn_no_wall", b.robust_knn},
                                          {"spread", level(a.curves.spread)},
                                          {"spread_no_wall", level(b.curves.spread)},
                                          {"rank", level(a.curves.rank)},
                                          {"rank_no_wall", level(b.curves.rank)},
                                          {"loss", level(a.curves.loss)},
                                          {"loss_no_wall", level(b.curves.loss)},
                                          {"train_seconds", a.seconds},
                                          {"seconds", since(start)}};
  write_file(o.out + "/summary.json", summary.dump(2) + "\n");
  write_page(o.out + "/curves.html", recipe, a, b, base, summary.dump());

  fmt::print("\n{:<22}{:>12}{:>15}{:>15}{:>15}\n", "", "raw pixels", "untrained net", a.name, b.name);
  fmt::print("{:<22}{:>12}{:>15}{:>15.3f}{:>15.3f}\n", "loss", "", "", level(a.curves.loss),
             level(b.curves.loss));
  fmt::print("{:<22}{:>12}{:>15}{:>15.3f}{:>15.3f}\n", "spread (1: healthy)", "", "", level(a.curves.spread),
             level(b.curves.spread));
  fmt::print("{:<22}{:>12}{:>15}{:>15.1f}{:>15.1f}\n", "effective rank", "", "", level(a.curves.rank),
             level(b.curves.rank));
  fmt::print("{:<22}{:>12.2f}{:>15.2f}{:>15.2f}{:>15.2f}\n", "kNN %", base.pixels, base.untrained, a.knn,
             b.knn);
  fmt::print("{:<22}{:>12.2f}{:>15.2f}{:>15.2f}{:>15.2f}\n", "kNN %, images changed", base.robust_pixels,
             base.robust_untrained, a.robust_knn, b.robust_knn);
  fmt::print(
      "\n(images changed: bank and queries each cropped, flipped and jittered once, by a fixed seed)\n"
      "curves               {0}/curves.html\ngradient path        {0}/graph.svg, {0}/graph_without_wall.svg\n"
      "checkpoint           {1}\nfigures              {0}/summary.json\ntook {2:.0f} s\n",
      o.out, a.checkpoint, since(start));
  return 0;
}

}  // namespace

void add_demo(CommandLine& program) {
  auto o = std::make_shared<DemoOptions>();
  CommandLine c = program.command("demo", "train with the wall and without it, and show both side by side",
                                  [o] { return run_demo(*o); });
  o->recipe.add_to(c);
  c.option("--out", &o->out,
           "folder for curves, pictures, checkpoints and summary.json; those of an earlier demo there are "
           "replaced");
  c.option("--seconds", &o->seconds,
           "training time of one arm, turned into a number of steps by a rate measured first; 0: the "
           "recipe's steps");
  c.option("--bank", &o->bank, "training images in the kNN bank; 0: all");
  c.flag("--quiet", o->quiet, "no progress");
}

}  // namespace stopgrad::tools
