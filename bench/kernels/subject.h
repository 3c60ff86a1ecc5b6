#pragma once
// One call with its memory on one device, ready to be compared and timed.
#include <functional>
#include <memory>
#include <string>

#include "bench/kernels/arena.h"
#include "bench/kernels/comparison.h"
#include "bench/kernels/work.h"
#include "kernels/launch.h"
#include "kernels/memory.h"

namespace stopgrad::bench {

/// Bytes of the device's last cache.
size_t last_cache_bytes(const Device& device);

/// A library's function that does the same as a call, on the same memory.
template <class Call>
struct Baseline {
  std::string name;                      // empty: there is none
  std::function<void(const Call&)> run;  // launches it
};
/// Prepares the library's function for calls of this size on this device.
template <class Call>
using BaselineOf = Baseline<Call> (*)(const Call&, const Device&);

class Subject {
 public:
  virtual ~Subject() = default;
  virtual Work work() const = 0;
  /// Buffers that take turns; together they are larger than the last cache.
  virtual size_t copies() const = 0;
  virtual void run(size_t copy) = 0;
  /// Runs the call on fresh memory and compares what it wrote.
  virtual Comparison check() = 0;

  virtual std::string baseline() const = 0;  // its name, or empty
  virtual void run_baseline(size_t copy) = 0;
  virtual Comparison check_baseline() = 0;
};

/// Case: a struct with
///   Call make(Arena&) const                               the call with its tensors
///   void check(const Call& before, const Call& after, Comparison&) const
///       the tensors before and after a run, in host memory
template <class Case>
class SubjectOf : public Subject {
 public:
  using Call = decltype(std::declval<const Case&>().make(std::declval<Arena&>()));

  SubjectOf(const Device& device, const Case& shape, BaselineOf<Call> baseline)
      : device_(device), case_(shape) {
    Arena sizes(nullptr);
    case_.make(sizes);
    bytes_ = sizes.bytes();
    const size_t enough = 2 * last_cache_bytes(device) / bytes_ + 1;
    before_ = Memory(host(), bytes_);
    after_ = Memory(host(), bytes_);
    memory_ = Memory(device_, bytes_ * std::min<size_t>(enough, 1 << 14));
    Arena filled(before_.at(), true), read_back(after_.at());
    on_host_ = case_.make(filled);
    results_ = case_.make(read_back);
    for (size_t at = 0; at < memory_.bytes(); at += bytes_) {
      if (at == 0) copy_to_device(device_, memory_.at(), before_.at(), bytes_);
      else copy_on_device(device_, memory_.at() + at, memory_.at(), bytes_);
      Arena copy(memory_.at() + at);
      calls_.push_back(case_.make(copy));
    }
    if (baseline != nullptr) baseline_ = baseline(calls_[0], device_);
  }

  Work work() const override { return work_of(on_host_); }
  size_t copies() const override { return calls_.size(); }
  void run(size_t copy) override { launch(device_, calls_[copy]); }
  Comparison check() override {
    return check([this](const Call& call) { launch(device_, call); }, Comparison());
  }
  std::string baseline() const override { return baseline_.name; }
  void run_baseline(size_t copy) override { baseline_.run(calls_[copy]); }
  /// What a library leaves for its own backward differs: its results count.
  Comparison check_baseline() override {
    return check(baseline_.run, Comparison({"y", "dx", "dw", "c", "dgamma", "dbeta"}));
  }

 private:
  class Memory {
   public:
    Memory() = default;
    Memory(const Device& device, size_t bytes)
        : device_(device), bytes_(bytes), at_(static_cast<char*>(allocate_memory(device, bytes))) {
      ENSURE(at_ != nullptr, "bench_kernels: no memory for {} MiB, choose smaller shapes", bytes >> 20);
    }
    Memory(Memory&& other) noexcept { *this = std::move(other); }
    Memory& operator=(Memory&& other) noexcept {
      std::swap(device_, other.device_), std::swap(bytes_, other.bytes_), std::swap(at_, other.at_);
      return *this;
    }
    ~Memory() {
      if (at_ != nullptr) free_memory(device_, at_, bytes_);
    }
    char* at() const { return at_; }
    size_t bytes() const { return bytes_; }

   private:
    Device device_;
    size_t bytes_ = 0;
    char* at_ = nullptr;
  };

  static Device host() {
    static cpu::Context context(1);
    return {&context, nullptr};
  }
  template <class Run>
  Comparison check(Run run_once, Comparison comparison) {
    copy_to_device(device_, memory_.at(), before_.at(), bytes_);
    run_once(calls_[0]);
    copy_to_host(device_, after_.at(), memory_.at(), bytes_);
    case_.check(on_host_, results_, comparison);
    return comparison;
  }

  Device device_;
  Case case_;
  size_t bytes_;
  Memory before_, after_, memory_;
  Call on_host_, results_;
  std::vector<Call> calls_;
  Baseline<Call> baseline_;
};

}  // namespace stopgrad::bench
