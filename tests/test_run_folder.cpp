// The folder of a run: what is kept, what is refused, and what a disk that is full does to it.
#include <sys/resource.h>

#include <catch2/catch.hpp>
#include <csignal>
#include <limits>
#include <thread>

#include "models/run_state.h"
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

Recipe three_epochs() {
  Recipe recipe = small_recipe();
  recipe.epochs = 3;
  recipe.checkpoint_every = 1;
  return recipe;
}

/// A disk that is full: no file grows past so many bytes.
struct FileLimit {
  rlimit before{};
  explicit FileLimit(uint64_t bytes) {
    std::signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &before);
    rlimit now = before;
    now.rlim_cur = bytes;
    setrlimit(RLIMIT_FSIZE, &now);
  }
  ~FileLimit() { setrlimit(RLIMIT_FSIZE, &before); }
};

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
  const Recipe recipe = three_epochs();
  run_in(folder, recipe);
  for (int64_t step : {8, 12, 100, 200, 300}) CHECK(fs::exists(checkpoint(folder, step)));
  CHECK_FALSE(fs::exists(checkpoint(folder, 4)));
}

TEST_CASE("a run does not mix with another one, nor with its own later steps", "[run_folder]") {
  Folder one, other, empty;
  const Recipe recipe = three_epochs();
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
  const Recipe recipe = three_epochs();
  run_in(one, recipe);
  fs::create_directories(other.path);
  std::ofstream(other.path / "metrics.jsonl") << std::string(10000, 'x');
  run_in(other, recipe, {}, checkpoint(one, 8));
  const std::string whole = metrics_of(one.path), part = metrics_of(other.path);
  CHECK(part == whole.substr(whole.find("{\"step\":8,")));
}

TEST_CASE("a run's folder stands for its newest checkpoint that can be read", "[run_folder]") {
  Folder folder, empty;
  run_in(folder, three_epochs());
  CHECK(find_checkpoint(folder.path) == checkpoint(folder, 12));
  CHECK(find_checkpoint(folder.path.string() + "/") ==
        folder.path.string() + "/checkpoint-000012.safetensors");
  CHECK(find_checkpoint(checkpoint(folder, 8)) == checkpoint(folder, 8));
  std::ofstream(checkpoint(folder, 99)) << "torn";
  CHECK(find_checkpoint(folder.path) == checkpoint(folder, 12));
  CHECK(find_checkpoint("not/there.safetensors") == "not/there.safetensors");
  fs::create_directories(empty.path);
  const auto [code, text] = failure([&] { find_checkpoint(empty.path); });
  CHECK(code == Exit::checkpoint);
  CHECK_THAT(text, Catch::Contains(empty.path.string()));
}

TEST_CASE("checkpoints of short epochs lie some seconds apart", "[run_folder]") {
  Folder folder;
  Recipe recipe = three_epochs();
  recipe.epochs = 5;
  recipe.keep_checkpoints = 9;
  recipe.checkpoint_seconds = 0.5;
  TrainerEvents events;
  events.step = [](const StepReport& r) {
    if (r.step == 6) std::this_thread::sleep_for(std::chrono::milliseconds(600));
  };
  run_in(folder, recipe, events);
  for (int64_t step : {4, 8, 12, 16, 20}) {
    INFO(step);
    CHECK(fs::exists(checkpoint(folder, step)) == (step == 8 || step == 20));  // late enough, and the end
  }
}

TEST_CASE("a checkpoint that cannot be written is an alarm on the way and an error where the run ends",
          "[run_folder]") {
  const auto in_the_way = [](const Folder& folder, int64_t step) {
    fs::create_directories(checkpoint(folder, step) + "/of somebody");
  };
  std::string heard;
  TrainerEvents events;
  events.alarm = [&](const std::string& text) { heard += text; };
  SECTION("on the way") {
    Folder folder;
    in_the_way(folder, 8);
    CHECK(run_in(folder, three_epochs(), events) == RunEnd::finished);
    CHECK_THAT(heard, Catch::Contains("checkpoint not written"));
  }
  SECTION("at a stop") {
    Folder folder;
    in_the_way(folder, 7);
    events.stop = [n = 0]() mutable { return ++n == 7; };
    CHECK(failure([&] { run_in(folder, three_epochs(), events); }).first == Exit::write);
  }
  SECTION("at a collapse") {
    Folder folder;
    in_the_way(folder, 10);
    Recipe recipe = three_epochs();
    recipe.collapse_spread = 1000;  // every step is low
    recipe.fail_on_collapse = true;
    CHECK(failure([&] { run_in(folder, recipe, events); }).first == Exit::write);
  }
}

TEST_CASE("values that are not finite are not saved, and the checkpoint before them stays", "[run_folder]") {
  for (const std::string place : {"value", "momentum", "running statistics"}) {
    INFO(place);
    Folder folder;
    Model model(three_epochs(), {8, 8, 3});
    Trainer trainer(model, small_set(), nullptr, folder.path.string());
    TrainerEvents events;
    events.alarm = [](const std::string&) {};
    events.step = [&](const StepReport& r) {  // after the loss of the epoch's last step was found finite
      const ParameterSlab& slab = model.slab();
      const Tensor& x = place == "value"      ? slab.values
                        : place == "momentum" ? slab.momenta
                                              : slab.buffers()[0]->value;
      if (r.step == 7) x.data<float>()[0] = std::numeric_limits<float>::quiet_NaN();
    };
    const auto [code, text] = failure([&] { trainer.run(events); });
    CHECK(code == Exit::diverged);
    CHECK_THAT(text, Catch::Contains("nothing was saved") && Catch::Contains("step 7"));
    CHECK(latest_checkpoint(folder.path.string()) == checkpoint(folder, 4));
  }
}

TEST_CASE("a record that a full disk did not take is written when there is space again", "[run_folder]") {
  Folder whole, full;
  run_in(whole, small_recipe());
  std::optional<FileLimit> limit;
  int alarms = 0;
  TrainerEvents events;
  events.alarm = [&](const std::string&) { ++alarms; };
  events.step = [&](const StepReport& r) {
    if (r.step == 5) limit.emplace(fs::file_size(full.path / "metrics.jsonl") + 40);  // a part of a line
    if (r.step == 12) limit.reset();
  };
  CHECK(run_in(full, small_recipe(), events) == RunEnd::finished);
  CHECK(metrics_of(whole.path) == metrics_of(full.path));
  CHECK(alarms == 1);
}

TEST_CASE("a record that cannot be written at all is an error at the end, after the checkpoint",
          "[run_folder]") {
  Folder folder;
  fs::create_directories(folder.path / "metrics.jsonl");
  TrainerEvents events;
  CHECK(failure([&] { run_in(folder, small_recipe(), events); }).first == Exit::write);
  CHECK(latest_checkpoint(folder.path.string()).empty());  // nobody listens: it ends at once
  events.alarm = [](const std::string&) {};
  CHECK(failure([&] { run_in(folder, small_recipe(), events); }).first == Exit::write);
  CHECK(latest_checkpoint(folder.path.string()) == checkpoint(folder, 20));
}

TEST_CASE("a break changes neither the step at which a collapse ends the run nor how often it is told",
          "[run_folder]") {
  Recipe recipe = small_recipe();
  recipe.collapse_spread = 1000;  // every step is low: the alarm comes with the tenth
  recipe.steps = 30;
  int alarms = 0;
  TrainerEvents events, stop;
  events.alarm = stop.alarm = [&](const std::string&) { ++alarms; };
  for (const bool fatal : {true, false}) {
    Folder folder;
    recipe.fail_on_collapse = fatal;
    alarms = 0;
    stop.stop = [n = 0, until = fatal ? 7 : 12]() mutable { return ++n == until; };
    CHECK(run_in(folder, recipe, stop) == RunEnd::stopped);
    const std::string newest = latest_checkpoint(folder.path.string());
    CHECK(run_in(folder, recipe, events, newest) == (fatal ? RunEnd::collapsed : RunEnd::finished));
    CHECK(latest_checkpoint(folder.path.string()) == checkpoint(folder, fatal ? 10 : 30));
    CHECK(alarms == 1);
  }
}

TEST_CASE("a checkpoint with a damaged recipe, of another version or with NaN is refused as a checkpoint",
          "[run_folder]") {
  Folder folder;
  fs::create_directories(folder.path);
  const std::string path = (folder.path / "c.safetensors").string();
  Model model(small_recipe(), {8, 8, 3});
  const Metadata good = to_metadata({}, model, small_set());
  const auto refused = [&](const char* key, const std::string& value, const std::string& part) {
    INFO(key << " = " << value);
    Metadata bad = good;
    bad[key] = value;
    save_checkpoint(path, model.slab(), bad);
    Trainer trainer(model, small_set(), nullptr, "");
    for (const auto& [code, text] :
         {failure([&] { load_model(path, 1); }), failure([&] { trainer.resume(path); })}) {
      CHECK(code == Exit::checkpoint);
      CHECK_THAT(text, Catch::Contains(part) && Catch::Contains(path));
    }
  };
  save_checkpoint(path, model.slab(), good);
  CHECK_NOTHROW(load_model(path, 1));
  refused("stopgrad.recipe", "[train]\nbatsh = 8", "train.batch");
  refused("stopgrad.recipe", "[train]\nbatch = 1", "train.batch = 1");
  refused("stopgrad.version", "2", "version");
  const auto with = [&](const char* key, const std::string& value) {
    INFO(key << " = " << value);
    Metadata bad = good;
    bad[key] = value;
    save_checkpoint(path, model.slab(), bad);
  };
  for (const char* size : {"8x8", "8x8x3x3", "8x8x3 ", "99999999999x8x3", "8x8x2"}) {
    with("stopgrad.image_size", size);
    CHECK_THAT(failure([&] { load_model(path, 1); }).second, Catch::Contains("image size"));
  }
  for (const char* number : {"", "-1", "1.5", "9223372036854775807"}) {
    with("stopgrad.low_steps", number);
    Trainer trainer(model, small_set(), nullptr, "");
    CHECK_THAT(failure([&] { trainer.resume(path); }).second, Catch::Contains("low_steps"));
  }
  model.slab().values.data<float>()[0] = std::numeric_limits<float>::quiet_NaN();
  refused("stopgrad.version", kCheckpointVersion, "not finite");
}

TEST_CASE("two runs do not write into one folder", "[run_folder]") {
  Folder folder;
  RunFolder first(folder.path.string()), second(folder.path.string());
  first.write_recipe(small_recipe());
  const auto [code, text] = failure([&] { second.write_recipe(small_recipe()); });
  CHECK(code == Exit::usage);
  CHECK_THAT(text, Catch::Contains("under way"));
  first.write_recipe(small_recipe());
}

TEST_CASE("a line that a power cut has torn is cut off, with what its step has left", "[run_folder]") {
  Folder folder;
  const Recipe recipe = three_epochs();
  run_in(folder, recipe);
  const std::string whole = metrics_of(folder.path);
  const fs::path record = folder.path / "metrics.jsonl";
  fs::resize_file(record, fs::file_size(record) - 7);
  RunFolder(folder.path.string()).go_on(checkpoint(folder, 12), 1 << 20);
  std::ifstream in(record);
  const std::string left((std::istreambuf_iterator<char>(in)), {});
  CHECK(left.back() == '\n');
  CHECK(std::count(left.begin(), left.end(), '\n') == std::count(whole.begin(), whole.end(), '\n') - 1);
}

TEST_CASE("a run for whose evaluation the memory is short tells so and keeps its steps", "[run_folder]") {
  Folder folder;
  Model model(three_epochs(), {8, 8, 3});
  Trainer trainer(model, small_set(), &small_set(), folder.path.string());
  TrainerEvents events;
  std::string told;
  events.knn = [](const KnnReport&) { throw Error(Exit::memory, "so many MiB"); };
  events.alarm = [&](const std::string& text) { told += text; };
  CHECK(trainer.run(events) == RunEnd::finished);
  CHECK_THAT(told, Catch::Contains("kNN is not measured: so many MiB"));
  CHECK(fs::exists(checkpoint(folder, 12)));
}
