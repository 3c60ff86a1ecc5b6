// The k largest of each row, exactly, against a sort of a sample of rows.
#include "kernels/topk.h"

#include <algorithm>
#include <numeric>

#include "bench/kernels/registry.h"

namespace stopgrad::bench {
namespace {

struct Best {
  test::TopKCase s;

  std::string op() const { return "topk"; }
  std::string shape() const { return fmt::format("r{}_n{}_k{}", s.rows, s.count, s.k); }
  TopK make(Arena& a) const {
    return {s.rows,
            s.count,
            s.k,
            1000,
            a.random<float>(int64_t{s.rows} * s.count, 1),
            a.output<float>(int64_t{s.rows} * s.k),
            a.output<int64_t>(int64_t{s.rows} * s.k),
            true};
  }
  void check(const TopK& before, const TopK& after, Comparison& c) const {
    for (int r = 0; r < s.rows; r += std::max(1, s.rows / 16)) {
      const float* const row = before.values + int64_t{r} * s.count;
      std::vector<int64_t> order(size_t(s.count));
      std::iota(order.begin(), order.end(), 0);
      std::stable_sort(order.begin(), order.end(), [row](int64_t i, int64_t j) { return row[i] > row[j]; });
      const auto value = [&](int64_t i) { return i < s.count ? double(row[order[i]]) : -INFINITY; };
      const auto index = [&](int64_t i) { return i < s.count ? double(1000 + order[i]) : -1.0; };
      c.equal("best", after.best + int64_t{r} * s.k, s.k, value);
      c.equal("best_index", after.best_index + int64_t{r} * s.k, s.k, index);
    }
    c.written("best", after.best, int64_t{s.rows} * s.k);
  }
};

}  // namespace

void add_topk(Registry& registry) {
  for (const test::TopKCase& c : registry.topk) registry.add<float>(Best{c}, c.real);
}

}  // namespace stopgrad::bench
