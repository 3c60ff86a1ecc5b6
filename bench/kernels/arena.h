#pragma once
// The memory of one call: its tensors one after the other. The same function that describes a call lays them
// out, fills them on the host, and finds them again in every copy, wherever that copy lies.
#include <cstring>

#include "tests/numbers.h"

namespace stopgrad::bench {

class Arena {
 public:
  /// Without `fill` only places are handed out; base may then be anything, also memory of a device.
  explicit Arena(char* base, bool fill = false) : base_(base), fill_(fill) {}

  size_t bytes() const { return at_; }
  bool fills() const { return fill_; }

  /// `count` elements that f(i) gives.
  template <class T, class F>
  T* make(int64_t count, F f) {
    T* const to = place<T>(count);
    if (fill_)
      for (int64_t i = 0; i < count; ++i) to[i] = f(i);
    return to;
  }
  /// Uniform in [low, high]. Numbers repeat after a prime count, which no row or channel divides, and every
  /// second time mirrored, so that long sums do not drift: drawing each of a hundred million would take
  /// longer than measuring.
  template <class T>
  T* random(int64_t count, uint64_t seed, double low = -1, double high = 1) {
    T* const to = place<T>(count);
    if (!fill_ || count == 0) return to;
    const std::vector<T> period = test::random<T>(std::min<int64_t>(count, 65521), seed, low, high);
    std::vector<T> mirrored = period;
    for (T& x : mirrored) x = test::from_double<T>(low + high - test::to_double(x));
    const auto length = static_cast<int64_t>(period.size());
    for (int64_t i = 0; i < count; i += length)
      std::memcpy(to + i, (i / length % 2 ? mirrored : period).data(),
                  sizeof(T) * std::min(length, count - i));
    return to;
  }
  /// Starts as NaN (or -1), so that a comparison sees what nobody wrote.
  template <class T>
  T* output(int64_t count) {
    T* const to = place<T>(count);
    if (fill_) std::memset(static_cast<void*>(to), 0xff, sizeof(T) * count);
    return to;
  }

 private:
  template <class T>
  T* place(int64_t count) {
    auto* const to = reinterpret_cast<T*>(base_ + at_);
    at_ += (sizeof(T) * count + 255) / 256 * 256;
    return to;
  }

  char* base_;
  bool fill_;
  size_t at_ = 0;
};

}  // namespace stopgrad::bench
