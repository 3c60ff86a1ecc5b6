// The folder of a run: what is kept, what is refused, and what a disk that is full does to it.
#include <catch2/catch.hpp>

#include "tests/small_run.h"

using namespace stopgrad;
using namespace stopgrad::test;

namespace {

/// Runs `recipe` in a folder to its end, or until `stop` says so.
RunEnd run_in(const Folder& folder, const Recipe& recipe, const TrainerEvents& events = {},
              const std::string& from = {}) {
  Model model(recipe, {8, 8, 3});
  Trainer trainer(model, small_set(), nullptr, folder.path.string());
  if (!from.empty()) trainer.resume(from);
  return trainer.run(events);
}

std::string checkpoint(const Folder& folder, int64_t step) {
  return RunFolder(folder.path.string()).checkpoint_path(step);
}

/// The code that an action fails with, and what it says.
std::pair<Exit, std::string> failure(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& e) {
    return {e.code(), e.what()};
  }
  return {Exit::ok, ""};
}

}  // namespace

TEST_CASE("a checkpoint that was just written stays, whatever later steps lie beside it", "[run_folder]") {
  Folder folder;
  fs::create_directories(folder.path);
  for (int64_t step : {100, 200, 300}) std::ofstream(checkpoint(folder, step)) << "of another run";
  Recipe recipe = small_recipe();
  recipe.epochs = 3;
  recipe.checkpoint_every = 1;
  run_in(folder, recipe);
  for (int64_t step : {8, 12, 100, 200, 300}) CHECK(fs::exists(checkpoint(folder, step)));
  CHECK_FALSE(fs::exists(checkpoint(folder, 4)));
}

TEST_CASE("a run does not mix with another one, nor with its own later steps", "[run_folder]") {
  Folder one, other, empty;
  Recipe recipe = small_recipe();
  recipe.epochs = 3;
  recipe.checkpoint_every = 1;
  for (const Folder* folder : {&one, &other}) run_in(*folder, recipe);
  const auto refused = [&](const std::string& from) {
    return failure([&] { require_unmixed(one.path.string(), from); });
  };
  CHECK(refused("").first == Exit::usage);
  CHECK(refused(checkpoint(other, 12)).first == Exit::usage);
  CHECK_THAT(refused(checkpoint(other, 12)).second, Catch::Contains("another run"));
  CHECK(refused(checkpoint(one, 8)).first == Exit::usage);
  CHECK_THAT(refused(checkpoint(one, 8)).second, Catch::Contains("--resume auto"));
  CHECK(refused(checkpoint(one, 12)).first == Exit::ok);
  CHECK_NOTHROW(require_unmixed(empty.path.string(), checkpoint(one, 8)));
  CHECK_NOTHROW(require_unmixed(empty.path.string(), ""));
}

TEST_CASE("a run that goes on in another folder keeps a record of its own there", "[run_folder]") {
  Folder one, other;
  Recipe recipe = small_recipe();
  recipe.epochs = 3;
  recipe.checkpoint_every = 1;
  run_in(one, recipe);
  fs::create_directories(other.path);
  std::ofstream(other.path / "metrics.jsonl") << std::string(10000, 'x');
  run_in(other, recipe, {}, checkpoint(one, 8));
  const std::string whole = metrics_of(one.path), part = metrics_of(other.path);
  CHECK(part == whole.substr(whole.find("{\"step\":8,")));
}
