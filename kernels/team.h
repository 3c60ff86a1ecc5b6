#pragma once
// The threads of a CPU context, and how they share work on a machine that others use too. Tasks are taken one
// by one by whoever has time, and a call waits for tasks that somebody has begun, never for a thread that has
// not come: a thread whose core is busy with another process helps as much as it can and holds up one task at
// most (docs/decisions.md). Who does a task must not change its result.
#include <atomic>
#include <cstdint>
#include <exception>
#include <memory>
#include <thread>
#include <vector>

namespace stopgrad::cpu {

class Team {
 public:
  /// The calling thread and `threads` - 1 others, which start with the first call for more than one task.
  explicit Team(int threads);
  ~Team();
  Team(const Team&) = delete;
  Team& operator=(const Team&) = delete;

  int threads() const { return threads_; }

  /// f(task, thread) for every task in [0, tasks); the caller is thread 0. Each thread begins with a share of
  /// its own, the same for as many tasks, so that it finds in its cache what it left there; `backwards` from
  /// the end of it. The first exception of a task is thrown on when all are done. Not from inside a task.
  template <class F>
  void run(int64_t tasks, bool backwards, const F& f) {
    const auto task = [](const void* of, int64_t i, int thread) { (*static_cast<const F*>(of))(i, thread); };
    run(tasks, backwards, task, &f);
  }

 private:
  using Task = void (*)(const void* of, int64_t i, int thread);

  struct alignas(64) Share {
    std::atomic<int64_t> left{0};  // tasks that nobody has taken
    int64_t begin = 0, end = 0;
  };

  void run(int64_t tasks, bool backwards, Task task, const void* of);
  void wait_for_calls(int thread);
  void take_all(int thread);
  void take(const Share& share, int64_t left, int thread);

  int threads_;
  std::vector<std::thread> others_;
  std::unique_ptr<Share[]> shares_;
  Task task_ = nullptr;
  const void* of_ = nullptr;
  bool backwards_ = false;
  std::exception_ptr failure_;
  alignas(64) std::atomic<int64_t> open_{0};    // tasks that are not done
  alignas(64) std::atomic<uint32_t> calls_{0};  // what a thread waits for
  std::atomic<bool> failed_{false}, ended_{false};
};

}  // namespace stopgrad::cpu
