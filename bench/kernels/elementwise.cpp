// Maps over flat arrays, each element against its formula.
#include "kernels/elementwise.h"

#include <set>

#include "bench/kernels/registry.h"
#include "kernels/copy_columns.h"

namespace stopgrad::bench {
namespace {

using test::to_double;

struct Flat {
  int64_t count;
  std::string shape() const { return fmt::format("n{}", count); }
};

template <class T>
struct Adding : Flat {
  std::string op() const { return "add"; }
  Add<T> make(Arena& a) const {
    return {count, a.random<T>(count, 1), a.random<T>(count, 2), a.output<T>(count)};
  }
  void check(const Add<T>& before, const Add<T>& after, Comparison& c) const {
    c.close(
        "y", after.y, count, [&](int64_t i) { return to_double(before.a[i]) + to_double(before.b[i]); },
        test::Tolerance<T>{1, 2});
  }
};

/// The sum of two gradients, as autograd makes it.
template <class T>
struct Accumulating : Flat {
  std::string op() const { return "accumulate"; }
  Scale<T> make(Arena& a) const {
    return {count, Acc<T>(0.5), a.random<T>(count, 1), a.random<T>(count, 2), true};
  }
  void check(const Scale<T>& before, const Scale<T>& after, Comparison& c) const {
    c.close(
        "y", after.y, count, [&](int64_t i) { return 0.5 * to_double(before.x[i]) + to_double(before.y[i]); },
        test::Tolerance<T>{1, 2});
  }
};

template <class T>
struct Scaling : Flat {
  std::string op() const { return "scale"; }
  Scale<T> make(Arena& a) const {
    return {count, Acc<T>(0.3), a.random<T>(count, 1), a.output<T>(count), false};
  }
  void check(const Scale<T>& before, const Scale<T>& after, Comparison& c) const {
    c.close(
        "y", after.y, count, [&](int64_t i) { return double(before.scale) * to_double(before.x[i]); },
        test::Tolerance<T>{1, 1});
  }
};

template <class T>
struct Relu : Flat {
  std::string op() const { return "relu_fwd"; }
  ReluForward<T> make(Arena& a) const { return {count, a.random<T>(count, 1), a.output<T>(count)}; }
  void check(const ReluForward<T>& before, const ReluForward<T>& after, Comparison& c) const {
    c.equal("y", after.y, count, [&](int64_t i) { return std::max(0.0, to_double(before.x[i])); });
  }
};

template <class T>
struct ReluGradient : Flat {
  std::string op() const { return "relu_bwd"; }
  ReluBackward<T> make(Arena& a) const {
    return {count, a.random<T>(count, 1), a.random<T>(count, 2), a.output<T>(count), false};
  }
  void check(const ReluBackward<T>& before, const ReluBackward<T>& after, Comparison& c) const {
    c.equal("dx", after.dx, count,
            [&](int64_t i) { return to_double(before.y[i]) > 0 ? to_double(before.dy[i]) : 0.0; });
  }
};

template <class From, class To>
struct Casting : Flat {
  std::string op() const { return std::is_same_v<To, bf16> ? "cast_to_bf16" : "cast_from_bf16"; }
  Cast<From, To> make(Arena& a) const { return {count, a.random<From>(count, 1), a.output<To>(count)}; }
  void check(const Cast<From, To>& before, const Cast<From, To>& after, Comparison& c) const {
    c.equal("y", after.y, count,
            [&](int64_t i) { return to_double(test::from_double<To>(to_double(before.x[i]))); });
  }
};

template <class T>
struct Filling : Flat {
  std::string op() const { return "fill"; }
  Fill<T> make(Arena& a) const { return {count, test::from_double<T>(0.75), a.output<T>(count)}; }
  void check(const Fill<T>&, const Fill<T>& after, Comparison& c) const {
    c.equal("y", after.y, count, [](int64_t) { return 0.75; });
  }
};

/// The stem's weights with eight channels, from three.
template <class T>
struct Widening {
  int64_t rows;
  int from, to;
  std::string op() const { return "copy_columns"; }
  std::string shape() const { return fmt::format("r{}_c{}_k{}", rows, from, to); }
  CopyColumns<T> make(Arena& a) const {
    return {rows, from, to, a.random<T>(rows * from, 1), a.output<T>(rows * to), false};
  }
  void check(const CopyColumns<T>& before, const CopyColumns<T>& after, Comparison& c) const {
    c.equal("y", after.y, rows * to,
            [&](int64_t i) { return i % to < from ? to_double(before.x[i / to * from + i % to]) : 0.0; });
  }
};

template <class T>
void add(Registry& registry) {
  std::set<int64_t> stems;  // rows of their weights
  for (const auto& [name, s, real] : registry.convolutions)
    if (s.channels == 3) stems.insert(int64_t{s.out_channels} * s.kernel * s.kernel);
  for (const int64_t rows : stems) registry.add<T>(Widening<T>{rows, 3, 8}, false);
  for (const auto& [name, count, real] : registry.flat) {
    const bool quick = count == 18'511'680;
    registry.add<T>(Adding<T>{{count}}, quick);
    registry.add<T>(Accumulating<T>{{count}}, quick);
    registry.add<T>(Scaling<T>{{count}}, false);
    registry.add<T>(Relu<T>{{count}}, quick);
    registry.add<T>(ReluGradient<T>{{count}}, quick);
    registry.add<T>(Filling<T>{{count}}, false);
    if constexpr (std::is_same_v<T, bf16>) {
      registry.add<T>(Casting<float, bf16>{{count}}, quick);
      registry.add<T>(Casting<bf16, float>{{count}}, false);
    }
  }
}

}  // namespace

void add_elementwise(Registry& registry) {
  add<float>(registry);
  add<bf16>(registry);
}

}  // namespace stopgrad::bench
