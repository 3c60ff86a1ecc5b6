// Judging frozen features: neighbours, banks and the linear probe.
#include <catch2/catch.hpp>

#include <cmath>
#include <limits>

#include "models/features.h"
#include "models/knn.h"
#include "models/linear_probe.h"
#include "tests/compare.h"
#include "tests/small_run.h"

using namespace stopgrad;
using namespace stopgrad::test;

TEST_CASE("kNN votes as the golden vector says", "[knn]") {
  cpu::Context context(1);
  const Pool pool(Device{.cpu = &context});
  std::vector<float> bank;
  for (int i = 0; i < 3; ++i)
    for (int j = 0; j < 4; ++j) bank.push_back(std::cos(2 - .6f * i + .8f * j));
  for (int i = 0; i < 3; ++i)
    for (int j = 0; j < 4; ++j) bank.push_back(std::cos(.5f + 1.1f * i - .9f * j));
  const Tensor b = Tensor::of(pool, {6, 4}, bank), q = Tensor::of<float>(pool, {1, 4}, {.3f, -.2f, .9f, .1f});
  const std::vector<int32_t> labels = {0, 1, 0, 1, 1, 0};
  const Neighbours near = nearest_neighbours(b, q, 4);
  const float want[] = {.593486f, .296269f, .187622f, -.395399f};
  const int32_t want_labels[] = {1, 0, 1, 0};
  for (size_t i = 0; i < 4; ++i) {
    CHECK(near.similarity[i] == Approx(want[i]).margin(2e-6));
    CHECK(labels[static_cast<size_t>(near.index[i])] == want_labels[i]);
  }
  CHECK(knn_predict(b, labels, q, 4, 0.1) == std::vector<int32_t>{1});
  CHECK(nearest_neighbours(b, q, 100).k == 6);
}

TEST_CASE("a sharp vote goes to the nearest, though its powers are beyond doubles", "[knn]") {
  cpu::Context context(1);
  const Pool pool(Device{.cpu = &context});
  const Tensor bank = Tensor::of<float>(pool, {2, 2}, {.8f, .6f, 1, 0}),
               query = Tensor::of<float>(pool, {1, 2}, {1, 0});
  CHECK(knn_predict(bank, {0, 1}, query, 2, 1e-3) == std::vector<int32_t>{1});
}

TEST_CASE("features that are not finite have no neighbours, and the search says so", "[knn]") {
  cpu::Context context(1);
  const Pool pool(Device{.cpu = &context});
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const Tensor good = Tensor::of<float>(pool, {2, 2}, {1, 2, 3, 4}),
               bad = Tensor::of<float>(pool, {2, 2}, {nan, nan, 3, nan});
  const auto refused = [](const Tensor& bank, const Tensor& query) {
    try {
      knn_predict(bank, {0, 1}, query, 2, 0.1);
      FAIL("found neighbours of NaN");
    } catch (const Error& e) {
      CHECK(e.code() == Exit::diverged);
      CHECK_THAT(e.what(), Catch::Contains("3 of 4 features are not finite"));
    }
  };
  refused(good, bad);
  refused(bad, good);
}

TEST_CASE("a bank is the set itself, or a copy of no more than it needs", "[knn]") {
  Dataset room;
  for (int64_t all : {int64_t{0}, small_set().count, small_set().count + 1})
    CHECK(&first_images(small_set(), all, room) == &small_set());
  CHECK(room.images.capacity() == 0);
  const Dataset& few = first_images(small_set(), 5, room);
  CHECK(few.count == 5);
  CHECK(few.images.capacity() == 5 * 8 * 8 * 3);
  CHECK(few.labels.size() == 5);
  CHECK(std::equal(few.images.begin(), few.images.end(), small_set().images.begin()));
}

TEST_CASE("a linear probe separates what is separable and leaves noise at chance", "[probe]") {
  cpu::Context context(1);
  const Pool pool(Device{.cpu = &context});
  std::vector<float> x = random<float>(400 * 8, 2);
  std::vector<int32_t> labels(400), random_labels(400);
  for (size_t i = 0; i < 400; ++i) {
    labels[i] = static_cast<int32_t>(i % 4);
    x[i * 8 + i % 4] += 4;
    random_labels[i] =
        static_cast<int32_t>(philox(1, Purpose::test, static_cast<uint32_t>(i), 9, 0, 0).v[0] % 4);
  }
  const Tensor t = Tensor::of(pool, {400, 8}, x);
  const LinearProbeOptions options{.epochs = 20, .batch = 50};
  CHECK(linear_probe(t.part(0, 300), {labels.begin(), labels.begin() + 300}, t.part(300, 400),
                     {labels.begin() + 300, labels.end()}, 4, options)
            .test_accuracy == 100);
  CHECK(linear_probe(t.part(0, 300), {random_labels.begin(), random_labels.begin() + 300}, t.part(300, 400),
                     {random_labels.begin() + 300, random_labels.end()}, 4, options)
            .test_accuracy < 50);
}
