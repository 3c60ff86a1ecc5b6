#include "kernels/team.h"

#include <utility>

namespace stopgrad::cpu {

namespace {

/// Waits for done(), some 25 us: longer than what the step does between two calls, short enough for a core
/// that somebody else wants. Waking a thread that sleeps takes twice that.
template <class F>
bool spin_until(F done) {
  for (int round = 0; round < 2000; ++round) {
    if (done()) return true;
#ifdef __x86_64__
    __builtin_ia32_pause();
#endif
  }
  return false;
}

}  // namespace

Team::Team(int threads) : threads_(threads), shares_(std::make_unique<Share[]>(threads)) {}

Team::~Team() {
  ended_.store(true, std::memory_order_relaxed);
  calls_.fetch_add(1, std::memory_order_release);
  calls_.notify_all();
  for (std::thread& other : others_) other.join();
}

void Team::run(int64_t tasks, bool backwards, Task task, const void* of) {
  if (tasks <= 1 || threads_ == 1) {
    for (int64_t i = 0; i < tasks; ++i) task(of, backwards ? tasks - 1 - i : i, 0);
    return;
  }
  for (int thread = static_cast<int>(others_.size()) + 1; thread < threads_; ++thread)
    others_.emplace_back([this, thread] { wait_for_calls(thread); });
  task_ = task;
  of_ = of;
  backwards_ = backwards;
  open_.store(tasks, std::memory_order_relaxed);
  for (int i = 0; i < threads_; ++i) {
    Share& share = shares_[i];
    share.begin = tasks * i / threads_;
    share.end = tasks * (i + 1) / threads_;
    share.left.store(share.end - share.begin, std::memory_order_release);
  }
  calls_.fetch_add(1, std::memory_order_release);
  calls_.notify_all();
  take_all(0);
  if (!spin_until([this] { return open_.load(std::memory_order_acquire) == 0; })) {
    while (const int64_t open = open_.load(std::memory_order_acquire)) open_.wait(open);
  }
  if (failed_.exchange(false, std::memory_order_relaxed))
    std::rethrow_exception(std::exchange(failure_, nullptr));
}

void Team::wait_for_calls(int thread) {
  for (uint32_t seen = 0;;) {
    if (!spin_until([&] { return calls_.load(std::memory_order_acquire) != seen; }))
      calls_.wait(seen, std::memory_order_acquire);
    seen = calls_.load(std::memory_order_acquire);
    if (ended_.load(std::memory_order_relaxed)) return;
    take_all(thread);
  }
}

void Team::take_all(int thread) {
  for (int k = 0; k < threads_; ++k) {
    Share& share = shares_[(thread + k) % threads_];
    while (share.left.load(std::memory_order_relaxed) > 0) {
      const int64_t left = share.left.fetch_sub(1, std::memory_order_acquire);
      if (left > 0) take(share, left, thread);
    }
  }
}

/// A task that has been counted down. What describes the call is looked at only here: it stays as it is until
/// the task is done.
void Team::take(const Share& share, int64_t left, int thread) {
  try {
    task_(of_, backwards_ ? share.begin + left - 1 : share.end - left, thread);
  } catch (...) {
    if (!failed_.exchange(true)) failure_ = std::current_exception();
  }
  if (open_.fetch_sub(1, std::memory_order_acq_rel) == 1 && thread != 0) open_.notify_one();
}

}  // namespace stopgrad::cpu
