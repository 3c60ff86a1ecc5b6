#include "kernels/topk.h"

#include <limits>
#include <numeric>

#include "tests/compare.h"

using namespace stopgrad;
using namespace stopgrad::test;

namespace {

constexpr float kNothing = -std::numeric_limits<float>::infinity();

struct Best {
  std::vector<float> value;
  std::vector<int64_t> index;
  bool operator==(const Best& other) const { return same_bits(value, other.value) && index == other.index; }
};

/// Sorts every row as a whole.
Best sorted(int rows, int count, int k, int64_t first, const std::vector<float>& x) {
  Best out = {std::vector<float>(rows * k, kNothing), std::vector<int64_t>(rows * k, -1)};
  for (int r = 0; r < rows; ++r) {
    const float* row = x.data() + size_t(r) * count;
    std::vector<int> order;
    for (int j = 0; j < count; ++j)
      if (row[j] > kNothing) order.push_back(j);  // neither NaN nor -infinity
    std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return row[a] > row[b]; });
    for (int n = 0; n < std::min(k, int(order.size())); ++n) {
      out.value[r * k + n] = row[order[n]];
      out.index[r * k + n] = first + order[n];
    }
  }
  return out;
}

/// Runs over parts [edges[i], edges[i + 1]) of the columns, in the given order.
Best top(int rows, int count, int k, int64_t first, const std::vector<float>& x, std::vector<int> edges = {},
         std::vector<int> order = {}, int threads = 2) {
  cpu::Context context(threads);
  if (edges.empty()) edges = {0, count};
  if (order.empty()) {
    order.resize(edges.size() - 1);
    std::iota(order.begin(), order.end(), 0);
  }
  Best out = {std::vector<float>(rows * k, NAN), std::vector<int64_t>(rows * k, 77)};
  bool fresh = true;
  for (const int part : order) {
    const int begin = edges[part], width = edges[part + 1] - begin;
    std::vector<float> columns(size_t(rows) * width);
    for (int r = 0; r < rows; ++r)
      std::copy_n(x.begin() + size_t(r) * count + begin, width, columns.begin() + size_t(r) * width);
    run(TopK{rows, width, k, first + begin, columns.data(), out.value.data(), out.index.data(), fresh},
        context);
    fresh = false;
  }
  return out;
}

}  // namespace

TEST_CASE("the best k are those of a full sort", "[topk]") {
  for (const int count : {1, 2, 63, 64, 65, 300, 5000, 20000}) {
    for (const int k : {1, 2, 10, 200, 333}) {
      INFO(count << " values, k " << k);
      const auto x = random<float>(size_t(3) * count, count + k);
      CHECK(top(3, count, k, 0, x) == sorted(3, count, k, 0, x));
    }
  }
}

TEST_CASE("ties go to the lower index", "[topk]") {
  for (const int k : {1, 7, 200}) {
    const auto few = integers<float>(2 * 20000, k, 0, 3);  // thousands of equal values
    CHECK(top(2, 20000, k, 5, few) == sorted(2, 20000, k, 5, few));
    const std::vector<float> equal(2 * 20000, 0.5f);
    CHECK(top(2, 20000, k, 0, equal) == sorted(2, 20000, k, 0, equal));
    CHECK(top(2, 20000, k, 0, equal, {0, 64, 20000}, {1, 0}) == sorted(2, 20000, k, 0, equal));
  }
}

TEST_CASE("sorted rows, the best and the worst case of a search, come out right", "[topk]") {
  std::vector<float> x(2 * 20000);
  for (int j = 0; j < 20000; ++j) x[j] = float(j), x[20000 + j] = float(-j);
  CHECK(top(2, 20000, 200, 0, x) == sorted(2, 20000, 200, 0, x));
}

TEST_CASE("parts give what one big part gives, in any order", "[topk]") {
  const int rows = 3, count = 30000;
  const std::vector<int> edges = {0, 50, 14000, 14001, 28000, 30000};
  for (const int k : {1, 20, 200}) {
    for (const bool ties : {false, true}) {
      const auto x = ties ? integers<float>(rows * count, 3, 0, 50) : random<float>(rows * count, 4);
      const Best whole = top(rows, count, k, 1000, x);
      CHECK(whole == sorted(rows, count, k, 1000, x));
      CHECK(top(rows, count, k, 1000, x, edges) == whole);
      CHECK(top(rows, count, k, 1000, x, edges, {4, 3, 2, 1, 0}) == whole);
      CHECK(top(rows, count, k, 1000, x, edges, {1, 4, 0, 3, 2}) == whole);
    }
  }
}

TEST_CASE("with fewer items than k the rest is empty", "[topk]") {
  const auto x = random<float>(2 * 30, 5);
  const Best best = top(2, 30, 50, 0, x, {0, 10, 30});
  CHECK(best == sorted(2, 30, 50, 0, x));
  CHECK(best.index[29] >= 0);
  CHECK(best.index[30] == -1);
  CHECK(best.value[30] == kNothing);
}

TEST_CASE("NaN and minus infinity never enter", "[topk]") {
  auto x = random<float>(2 * 20000, 6);
  for (size_t i = 0; i < x.size(); i += 3) x[i] = NAN;
  for (size_t i = 1; i < x.size(); i += 3) x[i] = kNothing;
  x[5] = std::numeric_limits<float>::infinity();
  CHECK(top(2, 20000, 200, 0, x) == sorted(2, 20000, 200, 0, x));
  const std::vector<float> masked(20000, kNothing);
  CHECK(top(1, 20000, 200, 0, masked) == sorted(1, 20000, 200, 0, masked));
}

TEST_CASE("neither threads nor neighbours change a row", "[topk]") {
  const int rows = 7, count = 9000, k = 100;
  const auto x = random<float>(rows * count, 7);
  const Best one = top(rows, count, k, 0, x, {}, {}, 1);
  CHECK(top(rows, count, k, 0, x, {}, {}, 3) == one);
  CHECK(top(rows, count, k, 0, x, {}, {}, 16) == one);
  CHECK(one == sorted(rows, count, k, 0, x));
}

TEST_CASE("items past the range of 32 bits keep their index", "[topk]") {
  const auto x = random<float>(100, 8);
  const int64_t first = int64_t{1} << 40;
  CHECK(top(1, 100, 5, first, x) == sorted(1, 100, 5, first, x));
}

TEST_CASE("asking for none is an error", "[topk]") {
  cpu::Context context(1);
  float value = 0;
  int64_t index = 0;
  CHECK_THROWS_WITH(run(TopK{1, 1, 0, 0, &value, &value, &index, true}, context), Catch::Contains("k is 0"));
}
