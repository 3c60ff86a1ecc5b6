// The data set that the program draws.
#include "tests/files.h"

#include <zlib.h>

#include <limits>

#include "data/open.h"
#include "data/synthetic.h"

using namespace stopgrad;
using namespace stopgrad::test;

TEST_CASE("synthetic images are a pure function of seed, split and index", "[data]") {
  const Dataset few = make_synthetic(20, 16, 3, 7, Split::train),
                more = make_synthetic(40, 16, 3, 7, Split::train);
  CHECK(std::equal(few.images.begin(), few.images.end(), more.images.begin()));
  CHECK(few.images != make_synthetic(20, 16, 3, 8, Split::train).images);
  CHECK(few.images != make_synthetic(20, 16, 3, 7, Split::test).images);
  CHECK(make_synthetic(20, 16, 1, 7, Split::train).images.size() == 20 * 256);
  for (int i = 0; i < 40; ++i) CHECK(more.labels[i] == i % 10);
  CHECK(more.classes.size() == 10);
  // Pinned: a change of the pictures changes what every recorded run on them means.
  const auto sum = crc32(0, few.images.data(), static_cast<uInt>(few.images.size()));
  CHECK(sum == 0x42e7ed7fu);
}

TEST_CASE("synthetic classes are balanced and pixels alone say little about them", "[data]") {
  const Dataset train = make_synthetic(1000, 16, 3, 1, Split::train),
                test = make_synthetic(200, 16, 3, 1, Split::test);
  int right = 0;
  for (int64_t i = 0; i < test.count; ++i) {
    int64_t best = std::numeric_limits<int64_t>::max(), nearest = 0;
    for (int64_t j = 0; j < train.count; ++j) {
      int64_t distance = 0;
      for (int64_t k = 0; k < train.image_bytes(); ++k) {
        const int d = test.image(i)[k] - train.image(j)[k];
        distance += d * d;
      }
      if (distance < best) best = distance, nearest = j;
    }
    right += train.labels[nearest] == test.labels[i];
  }
  CHECK(right < 60);  // 200 tested, chance is 20
}

TEST_CASE("synthetic shapes stand out from their background, in grey too", "[data]") {
  for (const int channels : {1, 3}) {
    const Dataset set = make_synthetic(100, 32, channels, 3, Split::train);
    for (int64_t i = 0; i < set.count; ++i) {
      int low = 255, high = 0;
      for (int64_t k = 0; k < set.image_bytes(); k += channels) {
        const uint8_t* p = set.image(i) + k;
        const int light = channels == 1 ? p[0] : (299 * p[0] + 587 * p[1] + 114 * p[2]) / 1000;
        low = std::min(low, light), high = std::max(high, light);
      }
      REQUIRE(high - low > 50);
    }
  }
}

TEST_CASE("synthetic refuses sizes it cannot draw", "[data]") {
  error_of(Exit::config, [] { make_synthetic(0, 32, 3, 0, Split::train); });
  error_of(Exit::config, [] { make_synthetic(1, 7, 3, 0, Split::train); });
  error_of(Exit::config, [] { make_synthetic(1, 32, 2, 0, Split::train); });
}

TEST_CASE("open_dataset draws as many synthetic images as asked, a fifth to test on", "[data]") {
  CHECK(open_dataset("synthetic:50", Split::train, {.image_size = 8}).count == 50);
  CHECK(open_dataset("synthetic:50", Split::test, {.image_size = 8}).count == 10);
  CHECK(open_dataset("synthetic", Split::train, {.image_size = 8, .limit = 3}).count == 3);
  for (const char* spec : {"synthetic:4", "synthetic:x", "synthetic:10x", "synthetic:99999999999999999999"})
    error_of(Exit::config, [&] { open_dataset(spec, Split::train); });
}
