#include "kernels/topk.h"

#include <limits>
#include <numeric>

#include "tests/compare.h"
#include "tests/cuda/mirror.h"

using namespace stopgrad;
using namespace stopgrad::test;

namespace {

constexpr float kNothing = -std::numeric_limits<float>::infinity();

struct Best {
  std::vector<float> value;
  std::vector<int64_t> index;
  bool operator==(const Best& other) const { return same_bits(value, other.value) && index == other.index; }
};

struct Search {
  int rows, count, k;
  std::vector<float> x;
  int64_t first = 0;
  std::vector<int> edges = {};  // of parts [edges[i], edges[i + 1]) of the columns
  std::vector<int> order = {};
  int late = 0;  // 1: values begin one element behind the start of their memory

  /// Calls part(call, columns, fresh) in the given order, with the best so far.
  template <class F>
  Best run_parts(F run_part) const {
    const std::vector<int> ends = edges.empty() ? std::vector<int>{0, count} : edges;
    std::vector<int> parts = order;
    if (parts.empty()) parts.resize(ends.size() - 1), std::iota(parts.begin(), parts.end(), 0);
    Best out = {std::vector<float>(size_t(rows) * k, NAN), std::vector<int64_t>(size_t(rows) * k, 77)};
    bool fresh = true;
    for (const int part : parts) {
      const int begin = ends[part], width = ends[part + 1] - begin;
      std::vector<float> columns(size_t(rows) * width + late);
      for (int r = 0; r < rows; ++r)
        std::copy_n(x.begin() + size_t(r) * count + begin, width, columns.begin() + size_t(r) * width + late);
      run_part(TopK{rows, width, k, first + begin, columns.data() + late, out.value.data(), out.index.data(),
                    fresh},
               columns, out);
      fresh = false;
    }
    return out;
  }
  Best on_cpu() const {
    cpu::Context context(1);
    return run_parts([&](const TopK& call, auto&, auto&) { cpu::run(call, context); });
  }
  Best on_device() const {
    return run_parts([](TopK call, std::vector<float>& columns, Best& out) {
      Mirror mirror;
      mirror.add(columns, out.value, out.index);
      mirror.move(call.values, call.best, call.best_index);
      run(call, device());
      mirror.fetch();
    });
  }
};

/// ThreadSanitizer's build sorts too slowly for more than one k of each kind.
std::vector<int> some_of(std::vector<int> all) {
  if (!affordable(5000)) all = {all[all.size() / 2]};
  return all;
}

void check_same(const Search& search) {
  INFO(search.rows << " rows of " << search.count << ", k " << search.k << ", " << search.order.size());
  CHECK(search.on_device() == search.on_cpu());
}

}  // namespace

TEST_CASE("the best k on CUDA are the CPU's", "[cuda][topk]") {
  for (const int count : {1, 2, 63, 64, 1023, 1028, 5000})
    for (const int k : some_of({1, 2, 200, 10, 1025})) {
      if (!affordable(count)) continue;
      const int rows = affordable(5000) ? 3 : 1;
      check_same({rows, count, k, random<float>(size_t(rows) * count, count + k)});
    }
  check_same({2, 64, 10, random<float>(128, 2), 0, {}, {}, 1});
  if (affordable(10000)) check_same({2, 20000, 200, random<float>(40000, 1)});
}

TEST_CASE("ties go to the lower index on CUDA", "[cuda][topk]") {
  const int count = affordable(6000) ? 6001 : 1200;
  for (const int k : some_of({1, 7, 200})) {
    check_same({2, count, k, integers<float>(2 * count, k, 0, 3), 5});
    check_same({1, count, k, std::vector<float>(count, 0.5f), 0, {0, 64, count}, {1, 0}});
  }
  std::vector<float> zeros(300);
  for (int i = 0; i < 300; ++i) zeros[i] = i % 3 ? 0.0f : -0.0f;  // equal, and each keeps its sign
  check_same({1, 300, 20, zeros});
}

TEST_CASE("rows that raise the bar with every value come out right on CUDA", "[cuda][topk]") {
  const int count = affordable(6000) ? 6000 : 3000;
  std::vector<float> x(2 * count);
  for (int j = 0; j < count; ++j) x[j] = float(j), x[count + j] = float(-j);
  check_same({2, count, 200, x});
}

TEST_CASE("parts give on CUDA what one big part gives, in any order", "[cuda][topk]") {
  const int count = affordable(8000) ? 8000 : 1200;
  const std::vector<int> edges = {0, 50, count / 2, count / 2 + 1, count - 100, count};
  for (const int k : some_of({1, 20, 200}))
    for (const bool ties : {true, false}) {
      if (!ties && !affordable(5000)) continue;
      const auto x = ties ? integers<float>(2 * count, 3, 0, 50) : random<float>(2 * count, 4);
      Search search{2, count, k, x, 1000};
      const Best whole = search.on_cpu();
      search.edges = edges;
      for (const std::vector<int>& order : {std::vector{0, 1, 2, 3, 4}, {4, 3, 2, 1, 0}, {1, 4, 0, 3, 2}}) {
        search.order = order;
        CHECK(search.on_device() == whole);
      }
    }
}

TEST_CASE("with fewer items than k the rest is empty on CUDA", "[cuda][topk]") {
  check_same({2, 30, 50, random<float>(60, 5), 0, {0, 10, 30}});
  check_same({2, 30, 50, random<float>(60, 5), 0, {0, 0, 30}});  // a fresh part of no items
}

TEST_CASE("NaN and minus infinity never enter on CUDA", "[cuda][topk]") {
  const int count = affordable(6000) ? 6000 : 1200;
  auto x = random<float>(2 * count, 6);
  for (size_t i = 0; i < x.size(); i += 3) x[i] = NAN;
  for (size_t i = 1; i < x.size(); i += 3) x[i] = kNothing;
  x[5] = std::numeric_limits<float>::infinity();
  check_same({2, count, 200, x});
  check_same({1, count, 20, std::vector<float>(count, kNothing)});
}

TEST_CASE("a k too large for shared memory works on CUDA, in memory that rows share", "[cuda][topk]") {
  const int k = static_cast<int>(device().info().shared / 12);
  if (!affordable(k)) return;
  check_same({2, 1500, k, random<float>(3000, 7), 0, {0, 1000, 1500}, {1, 0}});
  if (!affordable(30000)) return;
  const int rows = 4 * device().info().processors + 1;
  check_same({rows > 9 ? 9 : rows, 1030, k, integers<float>(9 * 1030, 8, 0, 50)});
}

TEST_CASE("items past the range of 32 bits keep their index on CUDA", "[cuda][topk]") {
  check_same({1, 100, 5, random<float>(100, 8), int64_t{1} << 40});
}

TEST_CASE("a search on CUDA gives the same bits twice", "[cuda][topk]") {
  const Search search{3, 1101, 33, integers<float>(3303, 9, 0, 100)};
  CHECK(search.on_device() == search.on_device());
}

TEST_CASE("asking CUDA for none is an error", "[cuda][topk]") {
  float value = 0;
  int64_t index = 0;
  CHECK_THROWS_WITH(run(TopK{1, 1, 0, 0, &value, &value, &index, true}, device()), Catch::Contains("k is 0"));
}
