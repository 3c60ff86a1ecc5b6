#include <catch2/catch.hpp>
#include "kernels/check.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "data/loader.h"

using namespace stopgrad;

namespace {

std::vector<int64_t> order(uint64_t seed, uint32_t epoch, int64_t count) {
  std::vector<int64_t> out(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) out[static_cast<size_t>(i)] = shuffled(seed, epoch, count, i);
  return out;
}

bool is_permutation_of_range(std::vector<int64_t> x) {
  std::sort(x.begin(), x.end());
  for (size_t i = 0; i < x.size(); ++i) {
    if (x[i] != static_cast<int64_t>(i)) return false;
  }
  return true;
}

}  // namespace

TEST_CASE("the order of an epoch is a permutation, another one in each epoch and for each seed", "[loader]") {
  for (const int64_t count : {1, 2, 3, 10, 257, 1000, 60000}) {
    INFO(count << " images");
    const std::vector<int64_t> one = order(1, 0, count);
    CHECK(is_permutation_of_range(one));
    CHECK(one == order(1, 0, count));
    if (count < 10) continue;
    CHECK(one != order(1, 1, count));
    CHECK(one != order(2, 0, count));
    CHECK_FALSE(std::is_sorted(one.begin(), one.end()));
  }
  CHECK(shuffled(1, 0, int64_t{1} << 40, 12345) < int64_t{1} << 40);
}

TEST_CASE("every order of three images comes equally often", "[loader]") {
  constexpr int epochs = 6000;
  std::vector<int> seen(27);
  for (uint32_t epoch = 0; epoch < epochs; ++epoch) {
    const std::vector<int64_t> o = order(4, epoch, 3);
    ++seen[static_cast<size_t>(9 * o[0] + 3 * o[1] + o[2])];
  }
  int orders = 0;
  for (const int count : seen) {
    if (count == 0) continue;
    ++orders;
    CHECK(std::abs(count - epochs / 6.0) < 3 * std::sqrt(epochs * 5.0 / 36));
  }
  CHECK(orders == 6);
}

TEST_CASE("every image comes to every place, and after every other, equally often", "[loader]") {
  constexpr int count = 20, epochs = 4000;
  std::vector<int> place(count * count), after(count * count);
  for (uint32_t epoch = 0; epoch < epochs; ++epoch) {
    const std::vector<int64_t> o = order(4, epoch, count);
    for (size_t i = 0; i < count; ++i) {
      ++place[i * count + static_cast<size_t>(o[i])];
      if (i > 0) ++after[static_cast<size_t>(o[i - 1] * count + o[i])];
    }
  }
  // Chi squared: 19 * 19 free places; 380 pairs, about as many free.
  double by_place = 0, by_pair = 0;
  for (const int n : place) by_place += std::pow(n - epochs / 20.0, 2) / (epochs / 20.0);
  for (size_t i = 0; i < after.size(); ++i) {
    if (i % (count + 1) != 0) by_pair += std::pow(after[i] - epochs / 20.0, 2) / (epochs / 20.0);
  }
  CHECK(std::abs(by_place - 361) < 3 * std::sqrt(2 * 361.0));
  CHECK(std::abs(by_pair - 380) < 3 * std::sqrt(2 * 380.0));
}

TEST_CASE("an epoch shows each image once, and drops what fills no batch", "[loader]") {
  for (const bool drop_last : {true, false}) {
    const Loader loader(103, 10, 6, drop_last);
    CHECK(loader.batches() == (drop_last ? 10 : 11));
    std::vector<int64_t> all;
    for (int64_t b = 0; b < loader.batches(); ++b) {
      std::vector<int64_t> batch(static_cast<size_t>(loader.batch_size(b)));
      loader.indices(3, b, batch);
      all.insert(all.end(), batch.begin(), batch.end());
    }
    std::vector<int64_t> want = order(6, 3, 103);
    if (drop_last) want.resize(100);
    CHECK(all == want);
  }
}

TEST_CASE("a batch is the same whatever was asked before", "[loader]") {
  const Loader loader(1000, 16, 2);
  std::vector<int64_t> first(16), again(16);
  loader.indices(5, 40, first);
  loader.indices(6, 1, again);
  loader.indices(5, 40, again);
  CHECK(first == again);
}

TEST_CASE("a data set that cannot fill a batch says what to change", "[loader]") {
  const auto code_of = [](int64_t count, int batch) {
    try {
      Loader(count, batch, 0);
    } catch (const Error& error) {
      return error.code();
    }
    return Exit::ok;
  };
  CHECK(code_of(31, 32) == Exit::config);
  CHECK(code_of(0, 1) == Exit::config);
  CHECK(code_of(10, 0) == Exit::config);
  CHECK(code_of(32, 32) == Exit::ok);
  CHECK_THROWS_WITH(Loader(31, 32, 0), Catch::Contains("make the batch at most 31"));
  const Loader partial(31, 32, 0, false);
  CHECK(partial.batches() == 1);
  CHECK(partial.batch_size(0) == 31);
  std::vector<int64_t> room(32);
  CHECK_THROWS_AS(partial.indices(0, 0, room), Error);
  CHECK_THROWS_AS(partial.batch_size(1), Error);
}
