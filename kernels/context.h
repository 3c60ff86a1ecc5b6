#pragma once
// What the CPU schedules share and calls do not carry: threads, scratch memory, library plans.
#include <cstddef>
#include <memory>

#include "kernels/team.h"

namespace stopgrad::cpu {

struct LibraryPlans;  // primitives of the convolution library, keyed by sizes, type and direction

class Context {
 public:
  /// threads = 0 takes every processor this process may run on.
  explicit Context(int threads = 0);
  ~Context();
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  int threads() const { return team_.threads(); }

  /// f(task, thread) for every task in [0, tasks), by whichever thread has time: see Team::run.
  template <class F>
  void share(int64_t tasks, const F& f, bool backwards = false) {
    team_.run(tasks, backwards, f);
  }

  /// Convolutions by direct sums only: whole numbers stay exact, float convolutions take about twice as long.
  void set_exact(bool exact) { exact_ = exact; }
  bool exact() const { return exact_; }

  /// Uninitialised memory for the call that asks, 64-byte aligned; it ends with the next scratch().
  /// Grows to the largest request and stays.
  void* scratch(size_t bytes);
  template <class T>
  T* scratch_of(size_t count) {
    return static_cast<T*>(scratch(count * sizeof(T)));
  }
  size_t scratch_bytes() const { return capacity_; }

  LibraryPlans& plans() { return *plans_; }

 private:
  Team team_;
  bool exact_ = false;
  size_t capacity_ = 0;
  void* buffer_ = nullptr;
  std::unique_ptr<LibraryPlans> plans_;
};

}  // namespace stopgrad::cpu

namespace stopgrad::cuda {
class Context;  // kernels/cuda_context.h
}
