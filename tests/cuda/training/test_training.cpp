// The whole step on CUDA: against the CPU, against itself, and after a resume.
#include <catch2/catch.hpp>

#include "models/features.h"
#include "tests/compare.h"
#include "tests/small_run.h"

using namespace stopgrad;
using namespace stopgrad::test;

namespace {

Recipe recipe_on(const std::string& device, const std::string& form = "auto",
                 const std::string& precision = "float32") {
  Recipe recipe = small_recipe();
  recipe.device = device;
  recipe.form = form;
  recipe.precision = precision;
  return recipe;
}

std::vector<StepReport> train(const Recipe& recipe, int steps) {
  Model model(recipe, {8, 8, 3});
  Trainer trainer(model, small_set(), nullptr, "");
  std::vector<StepReport> out;
  for (int i = 0; i < steps; ++i) out.push_back(trainer.train_step());
  return out;
}

/// Spacings of a float between the losses of the first step. A GPU's engines may be Winograd's or FFT's,
/// which round more than direct sums do (tests/tolerances.h): there as many as a golden step may be off.
#if defined(STOPGRAD_EMULATE)
constexpr double kSpacings = 4;
#else
constexpr double kSpacings = 64;
#endif

/// Rounding differs between schedules by a few spacings of the activations' type in the first step, and
/// training carries a difference on and doubles it about every other step.
void check_same_course(const std::vector<StepReport>& got, const std::vector<StepReport>& want,
                       double first) {
  for (size_t i = 0; i < want.size(); ++i) {
    INFO("step " << i << ": loss " << got[i].loss << " against " << want[i].loss);
    const double allowed = first * std::exp2(static_cast<double>(i) / 2);
    CHECK(std::abs(got[i].loss - want[i].loss) <= allowed);
    CHECK(std::abs(got[i].spread - want[i].spread) <= 4 * allowed);
    CHECK(got[i].rate == want[i].rate);
  }
}

}  // namespace

TEST_CASE("twenty steps on CUDA follow the CPU's in both forms of the views", "[cuda][training]") {
  const std::vector<StepReport> want = train(recipe_on("cpu"), 20);
  for (const char* form : {"branch", "batched"}) {
    INFO(form);
    check_same_course(train(recipe_on("cuda", form), 20), want, kSpacings * 0x1p-23);
  }
  CHECK(want.back().loss < want.front().loss - 0.1);
}

TEST_CASE("bf16 on CUDA follows bf16 on the CPU", "[cuda][training]") {
  check_same_course(train(recipe_on("cuda", "batched", "bf16"), 6),
                    train(recipe_on("cpu", "batched", "bf16"), 6), 4 * 0x1p-7);
}

TEST_CASE("BYOL on CUDA follows BYOL on the CPU, whose target moves after every step", "[cuda][training]") {
  Recipe recipe = recipe_on("cpu");
  recipe.method = "byol";
  recipe.target_momentum = 0.5;
  const std::vector<StepReport> want = train(recipe, 10);
  recipe.device = "cuda";
  check_same_course(train(recipe, 10), want, kSpacings * 0x1p-23);
  recipe.target_momentum = 1;  // stands still: another course
  CHECK(std::abs(train(recipe, 10).back().loss - want.back().loss) > 1e-3);
}

/// Their losses start between 2.5 and 4.5, where floats are four to eight times as far apart as below 1, and
/// similarities that rounding has moved are divided by a temperature of a half.
TEST_CASE("SimCLR, MoCo and SwAV on CUDA follow those on the CPU", "[cuda][training]") {
  for (const char* method : {"simclr", "moco", "swav"}) {
    INFO(method);
    Recipe recipe = small_recipe_of(method);
    recipe.device = "cpu";
    const std::vector<StepReport> want = train(recipe, 6);
    recipe.device = "cuda";
    check_same_course(train(recipe, 6), want, kSpacings * 0x1p-21);
  }
}

TEST_CASE("twenty steps on CUDA equal seven, a resume, and thirteen more, bit for bit", "[cuda][training]") {
  for (const char* precision : {"float32", "bf16"}) {
    INFO(precision);
    const Recipe recipe = recipe_on("cuda", "auto", precision);
    Folder straight, broken;
    Model whole(recipe, {8, 8, 3});
    Trainer(whole, small_set(), nullptr, straight.path.string()).run({});
    {
      Model first(recipe, {8, 8, 3});
      Trainer trainer(first, small_set(), nullptr, broken.path.string());
      TrainerEvents events;
      events.stop = [&] { return trainer.step() == 7; };
      CHECK(trainer.run(events) == RunEnd::stopped);
    }
    Model second(recipe, {8, 8, 3});
    Trainer trainer(second, small_set(), nullptr, broken.path.string());
    trainer.resume(latest_checkpoint(broken.path.string()));
    CHECK(trainer.step() == 7);
    CHECK(trainer.run({}) == RunEnd::finished);
    CHECK(state_of(whole) == state_of(second));
    CHECK(metrics_of(straight.path) == metrics_of(broken.path));
  }
}

TEST_CASE("a step on CUDA gives the same bits twice and asks for no memory from the third on",
          "[cuda][training]") {
  const auto run = [] {
    Model model(recipe_on("cuda"), {8, 8, 3});
    Trainer trainer(model, small_set(), nullptr, "");
    for (int i = 0; i < 2; ++i) trainer.train_step();
    const PoolStats before = model.step_memory().stats();
    for (int i = 0; i < 3; ++i) trainer.train_step();
    CHECK(model.step_memory().stats().system_bytes == before.system_bytes);
    CHECK(model.step_memory().stats().live_bytes == before.live_bytes);
    return state_of(model);
  };
  CHECK(run() == run());
}

TEST_CASE("features and kNN on CUDA are the CPU's", "[cuda][training]") {
  Model on_cpu(recipe_on("cpu"), {8, 8, 3}), on_cuda(recipe_on("cuda"), {8, 8, 3});
  const Dataset queries = make_synthetic(40, 8, 3, 5, Split::test);
  for (const EvalView view : {EvalView::clean, EvalView::robust}) {
    const Tensor a = extract_features(on_cpu, small_set(), view),
                 b = extract_features(on_cuda, small_set(), view);
    const std::vector<float> want = a.to_vector<float>(), got = b.to_vector<float>();
    double worst = 0;
    for (size_t i = 0; i < want.size(); ++i)
      worst = std::max(worst, static_cast<double>(std::abs(got[i] - want[i]) / (1 + std::abs(want[i]))));
    CHECK(worst < 64 * 0x1p-23);
    const Tensor qa = extract_features(on_cpu, queries, view), qb = extract_features(on_cuda, queries, view);
    CHECK(knn_of_features(on_cpu.recipe(), a, small_set(), qa, queries) ==
          knn_of_features(on_cuda.recipe(), b, small_set(), qb, queries));
  }
}

TEST_CASE("a data set that does not fit on the device gives the same views", "[cuda][training]") {
  Model model(recipe_on("cuda"), {8, 8, 3});
  ImageFeed whole(model.permanent(), small_set(), 16, size_t{1} << 30),
      gathered(model.permanent(), small_set(), 16, 100);
  CHECK(whole.resident());
  CHECK_FALSE(gathered.resident());
  const std::vector<int64_t> index = {5, 63, 0, 17};
  const std::vector<int64_t> other = {1, 2};
  std::vector<std::vector<float>> views;
  const auto look = [&](ImageFeed& feed) {
    const Tensor y(model.step_memory(), {2, 4, 8, 8, 3}, DType::f32);
    Augment<float> call{.views = 2,
                        .first_view = 0,
                        .seed = 3,
                        .recipe = model.recipe().views,
                        .out_height = 8,
                        .out_width = 8,
                        .stored_channels = 3,
                        .random = true,
                        .y = y.data<float>()};
    feed.bring(1, index);
    feed.aim(call);
    launch(model.device(), call);
    views.push_back(y.to_vector<float>());
  };
  look(whole);
  look(gathered);
  gathered.announce(index);
  look(gathered);
  gathered.announce(other);  // and then something else is wanted
  look(gathered);
  for (const auto& each : views) CHECK(same_bits(each, views[0]));
}

TEST_CASE("doubles are refused on CUDA", "[cuda][training]") {
  CHECK_THROWS_WITH(Model(recipe_on("cuda", "auto", "float64"), {8, 8, 3}), Catch::Contains("--device cpu"));
  CHECK_THROWS_WITH(Model(recipe_on("cuda:7"), {8, 8, 3}), Catch::Contains("cuda:7"));
}
