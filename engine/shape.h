#pragma once
// Up to five sizes, row-major. Every activation is also a matrix: rows() x channels().
#include <fmt/format.h>

#include <array>
#include <cstdint>
#include <initializer_list>
#include <string>

#include "kernels/check.h"

namespace stopgrad {

class Shape {
 public:
  static constexpr int kMaxRank = 5;

  Shape() = default;  // a scalar: rank 0, one element
  Shape(std::initializer_list<int64_t> sizes) {
    ENSURE(sizes.size() <= kMaxRank, "shape: rank {} is more than {}", sizes.size(), kMaxRank);
    for (int64_t size : sizes) {
      ENSURE(size >= 0, "shape: negative size {}", size);
      sizes_[rank_++] = size;
    }
  }

  int rank() const { return rank_; }
  int64_t operator[](int i) const { return sizes_[i < 0 ? rank_ + i : i]; }
  int64_t count() const {
    int64_t n = 1;
    for (int i = 0; i < rank_; ++i) n *= sizes_[i];
    return n;
  }
  /// The last size, and how many vectors of that length there are.
  int64_t channels() const { return rank_ == 0 ? 1 : sizes_[rank_ - 1]; }
  int64_t rows() const { return channels() == 0 ? 0 : count() / channels(); }

  /// The same but for the first size. Not of a scalar.
  Shape with_first(int64_t size) const {
    Shape out = *this;
    out.sizes_[0] = size;
    return out;
  }

  bool operator==(const Shape&) const = default;

  std::string str() const {
    std::string out = "[";
    for (int i = 0; i < rank_; ++i) out += fmt::format("{}{}", i ? "," : "", sizes_[i]);
    return out + "]";
  }

 private:
  std::array<int64_t, kMaxRank> sizes_{};
  int rank_ = 0;
};

}  // namespace stopgrad

template <>
struct fmt::formatter<stopgrad::Shape> : fmt::formatter<std::string> {
  auto format(const stopgrad::Shape& s, fmt::format_context& context) const {
    return fmt::formatter<std::string>::format(s.str(), context);
  }
};
