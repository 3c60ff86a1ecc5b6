// A step replayed as a graph against the same step launched anew, bit for bit: parameters, momenta, running
// statistics, counters, and metrics.jsonl.
#include <catch2/catch.hpp>

#include "kernels/cuda_context.h"
#include "kernels/memory.h"
#include "models/features.h"
#include "tests/small_run.h"

using namespace stopgrad;
using namespace stopgrad::test;

namespace {

/// Half of the small set: five epochs of four steps, with a rate that changes in each.
const Dataset& images() {
  static Dataset room;
  static const Dataset& set = first_images(small_set(), 32, room);
  return set;
}

Recipe graph_recipe(bool graph, const std::string& precision = "float32") {
  Recipe recipe = small_recipe();
  recipe.batch = 8;
  recipe.base_rate = 2;
  recipe.device = "cuda";
  recipe.precision = precision;
  recipe.graph = graph;
  return recipe;
}

struct Ending {
  std::string state, metrics;
  int64_t replays;
  bool operator==(const Ending& other) const { return state == other.state && metrics == other.metrics; }
};

/// A whole run. `between`: called after every report, while the next step may be under way. `overlap`: with
/// batch norms of three kernels each way, so that kernels follow each other.
Ending run_whole(const Recipe& recipe, const std::function<void(Model&, int64_t)>& between = {},
                 const Dataset* test = nullptr, bool overlap = false) {
  Folder folder;
  Model model(recipe, {8, 8, 3});
  if (overlap) {
    model.device().cuda->overlap = true;
    model.device().cuda->on_chip = false;
  }
  Trainer trainer(model, images(), test, folder.path.string());
  TrainerEvents events;
  if (between) events.step = [&](const StepReport& r) { between(model, r.step); };
  CHECK(trainer.run(events) == RunEnd::finished);
  return {state_of(model), metrics_of(folder.path), trainer.replays()};
}

}  // namespace

TEST_CASE("twenty steps with a replayed graph equal twenty without, bit for bit", "[cuda][graph]") {
  struct Case {
    const char *method, *precision, *form, *optimizer;
  };
  for (const Case& c : {Case{"simsiam", "float32", "batched", "sgd"},
                        {"simsiam", "bf16", "branch", "lars"},
                        {"byol", "bf16", "batched", "sgd"},
                        {"moco", "bf16", "batched", "sgd"},
                        {"swav", "bf16", "batched", "sgd"}}) {
    INFO(c.method << ", " << c.precision << ", " << c.form << ", " << c.optimizer);
    Recipe with = graph_recipe(true, c.precision), without = graph_recipe(false, c.precision);
    with.form = without.form = c.form;
    for (Recipe* recipe : {&with, &without}) {
      recipe->method = c.method;
      recipe->optimizer = c.optimizer;
      recipe->queue = 6 * recipe->batch;
      if (recipe->method == "moco" || recipe->method == "swav") recipe->predictor = "none";
    }
    const Ending replayed = run_whole(with), eager = run_whole(without);
    CHECK(replayed == eager);
    // Steps 0, 10 and 19 measure the rank, step 1 warms up, and step 4 where prototypes begin to move.
    CHECK(replayed.replays == (with.method == "swav" ? 15 : 16));
    CHECK(eager.replays == 0);
    CHECK(std::count(replayed.metrics.begin(), replayed.metrics.end(), '\n') == 20);
  }
}

TEST_CASE("kernels that start while the one before them ends leave the bits", "[cuda][graph][overlap]") {
  for (const auto& [precision, graph] : {std::pair{"float32", false}, {"bf16", true}}) {
    INFO(precision << ", graph " << graph);
    const Recipe recipe = graph_recipe(graph, precision);
    CHECK(run_whole(recipe, {}, nullptr, true) == run_whole(recipe));
  }
}

TEST_CASE("a run reports of each step, one step late, what a step that is waited for reports",
          "[cuda][graph]") {
  const auto line_of = [](const StepReport& r) {
    return fmt::format("{} {} {} {} {} {} {}", r.step, r.epoch, r.loss, r.spread, r.rate, r.predictor_rate,
                       r.rank.value_or(-1));
  };
  for (const int steps : {20, 12}) {  // of twelve, the last two measure the rank and are in flight together
    std::vector<std::string> waited, late;
    std::vector<int64_t> ahead, want_ahead(static_cast<size_t>(steps), 2);  // one behind, but for the last
    want_ahead.back() = 1;
    Recipe without = graph_recipe(false), with = graph_recipe(true);
    without.steps = with.steps = steps;
    Model first(without, {8, 8, 3}), second(with, {8, 8, 3});
    Trainer stepwise(first, images(), nullptr, "");
    for (int i = 0; i < steps; ++i) waited.push_back(line_of(stepwise.train_step()));
    Trainer trainer(second, images(), nullptr, "");
    TrainerEvents events;
    events.step = [&](const StepReport& r) {
      late.push_back(line_of(r));
      ahead.push_back(trainer.step() - r.step);
    };
    trainer.run(events);
    CHECK(late == waited);
    CHECK(trainer.replays() == steps - 4);
    CHECK(ahead == want_ahead);
  }
}

TEST_CASE("a run with the graph, stopped at step seven, goes on as a run without it would", "[cuda][graph]") {
  Folder straight, broken;
  Model whole(graph_recipe(false), {8, 8, 3});
  Trainer(whole, images(), nullptr, straight.path.string()).run({});
  {
    Model first(graph_recipe(true), {8, 8, 3});
    Trainer trainer(first, images(), nullptr, broken.path.string());
    TrainerEvents events;
    events.stop = [&] { return trainer.step() == 7; };
    CHECK(trainer.run(events) == RunEnd::stopped);
    for (int i = 0; i < 3; ++i) trainer.train_step();  // forgotten by the resume
    trainer.resume(latest_checkpoint(broken.path.string()));
    events.stop = [&] { return trainer.step() == 11; };  // captured anew; step 10 has measured the rank
    CHECK(trainer.run(events) == RunEnd::stopped);
  }
  Model second(graph_recipe(true), {8, 8, 3});
  Trainer trainer(second, images(), nullptr, broken.path.string());
  trainer.resume(latest_checkpoint(broken.path.string()));
  CHECK(trainer.step() == 11);
  CHECK(trainer.run({}) == RunEnd::finished);
  CHECK(trainer.replays() > 0);
  CHECK(state_of(whole) == state_of(second));
  CHECK(metrics_of(straight.path) == metrics_of(broken.path));
}

TEST_CASE("evaluations and checkpoints between replays change nothing", "[cuda][graph]") {
  const Dataset queries = make_synthetic(40, 8, 3, 5, Split::test);
  Recipe with = graph_recipe(true), without = graph_recipe(false);
  for (Recipe* recipe : {&with, &without}) recipe->knn_every = recipe->checkpoint_every = 1;
  const Ending replayed = run_whole(with, {}, &queries), eager = run_whole(without, {}, &queries);
  CHECK(replayed == eager);
  CHECK(replayed.replays >= 15);  // the first evaluation may move the scratch memory
  CHECK(replayed.metrics.find("knn") != std::string::npos);
}

TEST_CASE("a graph whose scratch memory has moved is captured again", "[cuda][graph]") {
  const auto grow = [](Model& model, int64_t step) {
    if (step == 6) model.device().cuda->scratch(size_t{40} << 20);
  };
  const Ending undisturbed = run_whole(graph_recipe(true)), moved = run_whole(graph_recipe(true), grow);
  CHECK(moved == undisturbed);
  CHECK(moved.replays == 15);
}

TEST_CASE("memory that a caller holds is not written by a graph of before", "[cuda][graph]") {
  std::optional<Tensor> held;
  std::vector<float> values(1 << 15, 3), after;
  const auto hold = [&](Model& model, int64_t step) {
    if (step == 5) held = Tensor::of(model.step_memory(), {1 << 15}, values);
    if (step != 12) return;
    after = held->to_vector<float>();
    held.reset();
  };
  const Ending undisturbed = run_whole(graph_recipe(true)), disturbed = run_whole(graph_recipe(true), hold);
  CHECK(disturbed == undisturbed);
  CHECK(after == values);
  CHECK(disturbed.replays == 14);  // after each change a step runs before the next capture
}

TEST_CASE("a block that changes places with one of the same size is not written by a graph of before",
          "[cuda][graph]") {
  cuda::Context context(0);
  Pool pool(Device{.cuda = &context});
  StepGraph graph(pool, {}, true);
  const auto step = [&] { Tensor(pool, {64}, DType::f32).fill_zero(); };
  std::optional<Tensor> held(Tensor::of(pool, {64}, std::vector<float>(64, 1)));
  for (int i = 0; i < 3; ++i) graph.run(step);
  CHECK(graph.replays() == 2);
  const std::vector<float> values(64, 3);
  const Tensor instead = Tensor::of(pool, {64}, values);  // where the step's own tensor lay
  held.reset();
  graph.run(step);
  CHECK(instead.to_vector<float>() == values);
}

TEST_CASE("a loss that is not finite ends the run with its own exit code and leaves the checkpoint before",
          "[cuda][graph]") {
  std::string healthy;
  for (const bool graph : {true, false}) {
    INFO(graph);
    Folder folder;
    Recipe recipe = graph_recipe(graph);
    recipe.checkpoint_every = 1;
    Model model(recipe, {8, 8, 3});
    Trainer trainer(model, images(), nullptr, folder.path.string());
    const Tensor& weight = model.slab().parameters()[0]->value;
    TrainerEvents events;
    events.step = [&](const StepReport& r) {  // while step 6 is under way: step 7, the epoch's last, is NaN
      if (r.step == 5) fill_memory(model.device(), weight.raw(), 0xff, weight.bytes());
    };
    try {
      trainer.run(events);
      FAIL("went on with NaN");
    } catch (const Error& e) {
      CHECK(e.code() == Exit::diverged);
      CHECK_THAT(e.what(), Catch::Contains("step 7 (epoch 1"));
    }
    const std::string latest = latest_checkpoint(folder.path.string());
    CHECK_THAT(latest, Catch::EndsWith("checkpoint-000004.safetensors"));
    const std::string metrics = metrics_of(folder.path);
    CHECK(std::count(metrics.begin(), metrics.end(), '\n') == 7);
    trainer.resume(latest);  // and it is whole
    CHECK(trainer.run({}) == RunEnd::finished);
    healthy = healthy.empty() ? run_whole(graph_recipe(graph)).state : healthy;
    CHECK(state_of(model) == healthy);
  }
}

TEST_CASE("collapse is noticed with the graph as without it", "[cuda][graph]") {
  std::string heard[2], metrics[2];
  for (const bool graph : {false, true}) {
    Folder folder;
    Recipe recipe = graph_recipe(graph);
    recipe.stop_gradient = false;
    recipe.base_rate = 2;
    recipe.steps = 40;
    recipe.fail_on_collapse = true;
    recipe.collapse_spread = 1;  // every step is low: the alarm comes with the tenth
    Model model(recipe, {8, 8, 3});
    Trainer trainer(model, images(), nullptr, folder.path.string());
    TrainerEvents events;
    events.alarm = [&](const std::string& text) { heard[graph] = text; };
    CHECK(trainer.run(events) == RunEnd::collapsed);
    CHECK(trainer.step() < 40);
    CHECK_FALSE(latest_checkpoint(folder.path.string()).empty());
    metrics[graph] = metrics_of(folder.path);
  }
  CHECK(heard[0] == heard[1]);
  CHECK_THAT(heard[1], Catch::Contains("collapse"));
  CHECK(metrics[0] == metrics[1]);
}

TEST_CASE("once the step is captured, neither pool nor scratch memory asks for anything", "[cuda][graph]") {
  Model model(graph_recipe(true), {8, 8, 3});
  Trainer trainer(model, images(), nullptr, "");
  for (int i = 0; i < 2; ++i) trainer.train_step();
  const PoolStats step = model.step_memory().stats(), permanent = model.permanent().stats();
  const int64_t moves = model.device().cuda->scratch_moves();
  for (int i = 0; i < 10; ++i) trainer.train_step();
  CHECK(trainer.replays() == 9);
  CHECK(model.step_memory().stats().system_bytes == step.system_bytes);
  CHECK(model.step_memory().stats().live_bytes == step.live_bytes);
  CHECK(model.permanent().stats().allocations == permanent.allocations);
  CHECK(model.device().cuda->scratch_moves() == moves);
}
