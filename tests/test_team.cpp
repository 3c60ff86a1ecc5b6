// How the threads of a CPU context share work.
#include <pthread.h>
#include <unistd.h>
#include <catch2/catch.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <stdexcept>
#include <thread>

#include "data/synthetic.h"
#include "kernels/team.h"
#include "models/trainer.h"
#include "tests/compare.h"
#include "tests/small_run.h"

using namespace stopgrad;
using namespace stopgrad::test;

namespace {

/// Both threads of a team of two in a task at the same time; the other one's handle.
pthread_t meet(cpu::Team& team) {
  std::atomic<int> here{0};
  pthread_t other{};
  team.run(2, false, [&](int64_t, int thread) {
    if (thread == 1) other = pthread_self();
    ++here;
    while (here < 2) usleep(100);
  });
  return other;
}

std::atomic<bool> is_held, let_go;
void hold(int) {
  is_held = true;
  while (!let_go) usleep(100);
}

/// Keeps a thread from running, as another process on its core would, for the life of this; ten seconds at
/// most.
class Held {
 public:
  explicit Held(pthread_t thread) {
    is_held = let_go = false;
    std::signal(SIGUSR1, hold);
    pthread_kill(thread, SIGUSR1);
    while (!is_held) usleep(100);
    watch_ = std::thread([this] {
      for (int tenth = 0; tenth < 100 && !over_; ++tenth) usleep(100000);
      in_time_ = over_.load();
      let_go = true;
    });
  }
  bool end() {
    over_ = true;
    watch_.join();
    return in_time_;
  }

 private:
  std::atomic<bool> over_{false}, in_time_{true};
  std::thread watch_;
};

}  // namespace

TEST_CASE("every task is done once, with any number of threads and in both directions", "[team]") {
  for (const int threads : {1, 2, 3, 8}) {
    cpu::Team team(threads);
    for (const int64_t tasks : {0, 1, 2, 5, 8, 1000}) {
      for (int again = 0; again < 50; ++again) {
        std::vector<std::atomic<int>> done(tasks);
        std::atomic<bool> strange = false;
        team.run(tasks, again % 2 == 1, [&](int64_t task, int thread) {
          if (task < 0 || task >= tasks || thread < 0 || thread >= threads) strange = true;
          else ++done[task];
        });
        CHECK_FALSE(strange);
        CHECK(std::all_of(done.begin(), done.end(), [](const auto& n) { return n == 1; }));
      }
    }
  }
}

TEST_CASE("a team works in the order asked for", "[team]") {
  cpu::Team alone(1);
  std::vector<int64_t> order;
  alone.run(4, false, [&](int64_t task, int) { order.push_back(task); });
  alone.run(4, true, [&](int64_t task, int) { order.push_back(task); });
  CHECK(order == std::vector<int64_t>{0, 1, 2, 3, 3, 2, 1, 0});

  cpu::Team two(2);
  Held other(meet(two));
  order.clear();
  two.run(4, true, [&](int64_t task, int) { order.push_back(task); });
  CHECK(other.end());
  CHECK(order == std::vector<int64_t>{1, 0, 3, 2});
}

TEST_CASE("a thread that does not come is not waited for", "[team]") {
  cpu::Team team(2);
  Held other(meet(team));
  std::atomic<int> mine = 0, all = 0;
  for (int again = 0; again < 100; ++again) {
    team.run(64, false, [&](int64_t, int thread) {
      ++all;
      mine += thread == 0;
    });
  }
  CHECK(other.end());
  CHECK(all == 6400);
  CHECK(mine == 6400);
  meet(team);  // and it comes when it can
}

TEST_CASE("what a task has begun is waited for", "[team]") {
  cpu::Team team(2);
  std::atomic<int> here{0};
  std::atomic<bool> finished = false;
  team.run(2, false, [&](int64_t, int thread) {
    ++here;
    while (here < 2) usleep(100);
    if (thread == 0) return;
    usleep(100000);  // past the spinning
    finished = true;
  });
  CHECK(finished);
}

TEST_CASE("an exception of a task reaches the caller, and the team goes on", "[team]") {
  for (const int threads : {1, 3}) {
    cpu::Team team(threads);
    for (const int64_t bad : {0, 50, 99}) {
      CHECK_THROWS_WITH(team.run(100, false,
                                 [&](int64_t task, int) {
                                   if (task == bad) throw std::runtime_error("task failed");
                                 }),
                        "task failed");
      std::atomic<int> done = 0;
      team.run(100, false, [&](int64_t, int) { ++done; });
      CHECK(done == 100);
    }
  }
}

TEST_CASE("neither threads nor a break with other threads change a bit of a training", "[team][trainer]") {
  // Sizes at which every call of the step is cut: Winograd, the library's convolutions and products, the
  // rest.
  Recipe recipe = small_recipe();
  recipe.widths = {16, 64};
  recipe.projector = {256, 256};
  recipe.batch = 100;
  recipe.steps = 4;
  const Dataset set = make_synthetic(128, 16, 3, 5, Split::train);
  const auto train = [&](int64_t threads, const Folder& folder, int64_t until) {
    recipe.threads = threads;
    Model model(recipe, {16, 16, 3});
    Trainer trainer(model, set, nullptr, folder.path.string());
    const std::string before = latest_checkpoint(folder.path.string());
    if (!before.empty()) CHECK(trainer.resume(before) == "");
    TrainerEvents events;
    events.stop = [&] { return trainer.step() == until; };
    trainer.run(events);
    return state_of(model);
  };
  for (const std::string precision : {"float32", "bf16"}) {
    recipe.precision = precision;
    Folder one, three, broken;
    const std::string alone = train(1, one, 4);
    CHECK((train(3, three, 4) == alone));  // not the bytes of both
    train(2, broken, 2);
    CHECK((train(1, broken, 4) == alone));
    CHECK(metrics_of(one.path) == metrics_of(broken.path));
  }
}
