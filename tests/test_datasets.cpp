// IDX and CIFAR files made here, whole and damaged, and the words that open a data set.
#include "tests/files.h"

#include <zlib.h>

#include "data/cifar.h"
#include "data/idx.h"
#include "data/nearest.h"
#include "data/open.h"

using namespace stopgrad;
using namespace stopgrad::test;
namespace fs = std::filesystem;

namespace {

Bytes idx_bytes(const std::vector<uint32_t>& sizes, const Bytes& payload) {
  Bytes b{0, 0, 8, static_cast<uint8_t>(sizes.size())};
  for (const uint32_t size : sizes)
    for (int shift = 24; shift >= 0; shift -= 8) b.push_back(static_cast<uint8_t>(size >> shift));
  b.insert(b.end(), payload.begin(), payload.end());
  return b;
}

Bytes gzip(const Bytes& bytes) {
  z_stream stream{};
  deflateInit2(&stream, 9, Z_DEFLATED, 15 + 16, 9, Z_DEFAULT_STRATEGY);
  Bytes out(deflateBound(&stream, bytes.size()));
  stream.next_in = const_cast<Bytef*>(bytes.data());
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = out.data();
  stream.avail_out = static_cast<uInt>(out.size());
  REQUIRE(deflate(&stream, Z_FINISH) == Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

const Bytes kPixels{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};  // two images of 2 x 3
const Bytes kImages = idx_bytes({2, 2, 3}, kPixels), kLabels = idx_bytes({2}, {7, 1});

Bytes cifar_record(const Bytes& labels, uint8_t first) {
  Bytes record = labels;
  for (int c = 0; c < 3; ++c)
    for (int p = 0; p < 1024; ++p) record.push_back(static_cast<uint8_t>(first + 50 * c + p % 32));
  return record;
}

Bytes joined(Bytes a, const Bytes& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

}  // namespace

TEST_CASE("IDX files read alike plain and gzipped", "[data]") {
  const ImageFolder folder;
  const auto check = [](const Dataset& set) {
    CHECK(set.count == 2);
    CHECK(set.height == 2);
    CHECK(set.width == 3);
    CHECK(set.channels == 1);
    CHECK(set.images == kPixels);
    CHECK(set.labels == std::vector<int32_t>{7, 1});
    CHECK(set.image(1)[0] == 7);
    error_of(Exit::failed, [&] { set.image(2); });
    error_of(Exit::failed, [&] { set.image(-1); });
  };
  check(read_idx(folder.write("i", kImages), folder.write("l", kLabels)));
  check(read_idx(folder.write("i.gz", gzip(kImages)), folder.write("l.gz", gzip(kLabels))));
  check(read_idx(folder.write("misnamed", gzip(kImages)), folder.write("plain.gz", kLabels)));
  CHECK(read_idx(folder.at("i"), "").labels.empty());
}

TEST_CASE("an IDX file cut anywhere or one byte too long is refused by name", "[data]") {
  const ImageFolder folder;
  const auto images = folder.write("images", kImages), labels = folder.write("labels", kLabels);
  const auto refuse = [&](const Bytes& bytes, bool is_labels) {
    const auto path = folder.write("broken", bytes);
    const auto text =
        error_of(Exit::data, [&] { is_labels ? read_idx(images, path) : read_idx(path, labels); });
    CHECK(has(text, path));
    return text;
  };
  for (const bool is_labels : {false, true})
    for (const bool packed : {false, true}) {
      const Bytes& plain = is_labels ? kLabels : kImages;
      const Bytes whole = packed ? gzip(plain) : plain;
      for (size_t size = 0; size < whole.size(); ++size) {
        INFO("labels " << is_labels << ", gzip " << packed << ", cut to " << size << " of " << whole.size());
        refuse(Bytes(whole.begin(), whole.begin() + size), is_labels);
      }
      const Bytes longer = joined(plain, {0});
      CHECK(has(refuse(packed ? gzip(longer) : longer, is_labels), std::to_string(plain.size())));
    }
}

TEST_CASE("IDX headers that do not fit are refused with their offset", "[data]") {
  const ImageFolder folder;
  const auto labels = folder.write("labels", kLabels);
  const auto refusal = [&](const Bytes& bytes) {
    return error_of(Exit::data, [&] { read_idx(folder.write("broken", bytes), labels); });
  };
  for (const int at : {0, 1, 2}) {
    Bytes wrong = kImages;
    wrong[at] ^= 1;
    CHECK(has(refusal(wrong), "offset 0"));
  }
  CHECK(has(refusal(kLabels), "rank 1 at offset 3"));
  CHECK(has(refusal(idx_bytes({0, 2, 3}, {})), "count 0"));
  CHECK(has(refusal(idx_bytes({2, 0, 3}, {})), "offset 8"));
  CHECK(has(refusal(idx_bytes({1, 16385, 1}, Bytes(16385))), "offset 8"));
  // 2^60 bytes: refused by the header, not by the machine's memory.
  CHECK(has(refusal(idx_bytes({0xffffffff, 16384, 16384}, kPixels)), "promises"));
  CHECK(has(refusal(gzip(idx_bytes({0xffffffff, 16384, 16384}, kPixels))), "promises"));
  CHECK(has(refusal(idx_bytes({3, 1, 1}, {1, 2, 3})), "2 labels"));
}

TEST_CASE("a gzip whose checksum or data is damaged is refused", "[data]") {
  const ImageFolder folder;
  const auto labels = folder.write("labels", kLabels);
  const Bytes whole = gzip(kImages);
  for (size_t at = 10; at < whole.size();
       ++at) {  // behind the gzip header, whose date and system do not matter
    INFO("byte " << at);
    Bytes wrong = whole;
    wrong[at] ^= 0x10;
    error_of(Exit::data, [&] { read_idx(folder.write("broken.gz", wrong), labels); });
  }
}

TEST_CASE("Fashion-MNIST of Debian reads as it is known", "[data]") {
  if (!fs::exists("/usr/share/datasets/fashion-mnist")) {
    WARN("dataset-fashion-mnist is not installed");
    return;
  }
  const Dataset train = open_dataset("fashion_mnist", Split::train);
  const Dataset test = open_dataset("fashion_mnist", Split::test, {.limit = 10});
  CHECK(train.count == 60000);
  CHECK(train.image_bytes() == 28 * 28);
  std::vector<int> per_class(10);
  for (const int32_t label : train.labels) ++per_class.at(label);
  CHECK(per_class == std::vector<int>(10, 6000));
  CHECK(train.classes[train.labels[0]] == "Ankle boot");
  CHECK(test.count == 10);
  CHECK(test.labels == std::vector<int32_t>{9, 2, 1, 1, 6, 1, 4, 6, 5, 7});
}

TEST_CASE("CIFAR-10 batches come in order, planes become pixels", "[data]") {
  const ImageFolder folder;
  for (int b = 1; b <= 5; ++b) {
    Bytes bytes = cifar_record({static_cast<uint8_t>(b)}, static_cast<uint8_t>(b));
    if (b == 3) bytes = joined(bytes, cifar_record({9}, 100));  // the count comes from the size
    folder.write("data_batch_" + std::to_string(b) + ".bin", bytes);
  }
  folder.write("test_batch.bin", cifar_record({0}, 60));
  const Dataset train = read_cifar10(folder.root.string(), Split::train);
  CHECK(train.labels == std::vector<int32_t>{1, 2, 3, 9, 4, 5});
  CHECK(train.classes.empty());
  REQUIRE(train.image_bytes() == 3072);
  for (int p = 0; p < 1024; ++p)
    for (int c = 0; c < 3; ++c) REQUIRE(train.image(3)[p * 3 + c] == 100 + 50 * c + p % 32);
  folder.write("batches.meta.txt", bytes_of("a\r\nb\nc\nd\ne\nf\ng\nh\ni\nj k\n\n"));
  const Dataset test = read_cifar10(folder.root.string(), Split::test);
  CHECK(test.count == 1);
  CHECK(test.image(0)[2] == 160);
  CHECK(test.classes.front() == "a");
  CHECK(test.classes.back() == "j k");
  folder.write("batches.meta.txt", bytes_of("a\nb\n"));
  CHECK(has(error_of(Exit::data, [&] { read_cifar10(folder.root.string(), Split::test); }), "2 class names"));
}

TEST_CASE("CIFAR-100 keeps the fine label and finds the folder of the archive", "[data]") {
  const ImageFolder folder;
  folder.write("cifar-100-binary/train.bin", joined(cifar_record({19, 99}, 0), cifar_record({3, 4}, 1)));
  const Dataset train = open_dataset("cifar100:" + folder.root.string(), Split::train);
  CHECK(train.name == "cifar100");
  CHECK(train.labels == std::vector<int32_t>{99, 4});
  folder.write("cifar-100-binary/test.bin", cifar_record({20, 1}, 0));
  CHECK(has(error_of(Exit::data, [&] { read_cifar100(folder.root.string(), Split::test); }),
            "label 20 at offset 0"));
  folder.write("cifar-100-binary/test.bin", cifar_record({1, 100}, 0));
  CHECK(has(error_of(Exit::data, [&] { read_cifar100(folder.root.string(), Split::test); }),
            "label 100 at offset 1"));
}

TEST_CASE("broken CIFAR files are refused with file and offset", "[data]") {
  const ImageFolder folder;
  const Bytes two = joined(cifar_record({1}, 0), cifar_record({2}, 0));
  const auto refusal = [&](const Bytes& bytes) {
    const auto path = folder.write("test_batch.bin", bytes);
    const auto text = error_of(Exit::data, [&] { read_cifar10(folder.root.string(), Split::test); });
    CHECK(has(text, path));
    return text;
  };
  for (const size_t size : {0, 1, 3072})
    CHECK(has(refusal(Bytes(two.begin(), two.begin() + size)), "offset 0"));
  for (const size_t size : {3074, 6145})
    CHECK(has(refusal(Bytes(two.begin(), two.begin() + size)), "offset 3073"));
  CHECK(has(refusal(joined(two, {0})), "offset 6146"));
  CHECK(has(refusal(joined(cifar_record({1}, 0), cifar_record({10}, 0))), "label 10 at offset 3073"));
  for (int b = 1; b <= 4; ++b) folder.write("data_batch_" + std::to_string(b) + ".bin", two);
  CHECK(has(error_of(Exit::data, [&] { read_cifar10(folder.root.string(), Split::train); }),
            "data_batch_5.bin"));
}

TEST_CASE("open_dataset says which kinds there are and which one was meant", "[data]") {
  const auto text = error_of(Exit::config, [] { open_dataset("cifar-10:/tmp", Split::train); });
  CHECK(has(text, "did you mean 'cifar10'?"));
  CHECK(has(text, "fashion_mnist, cifar10, cifar100, idx, folder, synthetic"));
  CHECK(!has(error_of(Exit::config, [] { open_dataset("", Split::train); }), "did you mean"));
}

TEST_CASE("open_dataset says what to install or unpack, and where", "[data]") {
  const ImageFolder folder;
  const std::string root = folder.root.string();
  CHECK(has(error_of(Exit::data, [&] { open_dataset("fashion_mnist:" + root, Split::train); }),
            "apt-get install dataset-fashion-mnist"));
  for (const char* kind : {"cifar10", "cifar100"}) {
    error_of(Exit::config, [&] { open_dataset(kind, Split::train); });
    CHECK(has(error_of(Exit::data, [&] { open_dataset(kind + (":" + root), Split::test); }), root));
    CHECK(
        has(error_of(Exit::data, [&] { open_dataset(kind + (":" + root + "/no"), Split::test); }), "unpack"));
  }
  error_of(Exit::data, [&] { open_dataset("folder:" + root, Split::train); });
  error_of(Exit::data, [] { open_dataset("folder:" + std::string(10000, 'x'), Split::train); });
}

TEST_CASE("open_dataset reads IDX pairs, the test pair after a semicolon", "[data]") {
  const ImageFolder folder;
  const auto images = folder.write("i", kImages), labels = folder.write("l", kLabels);
  const std::string train = "idx:" + images + "," + labels;
  const auto more = folder.write("tj", idx_bytes({1, 2, 3}, {13, 14, 15, 16, 17, 18}));
  const auto label = folder.write("tl", idx_bytes({1}, {3}));
  const Dataset both = open_dataset(train + ";" + more + "," + label, Split::all);
  CHECK(both.count == 3);
  CHECK(both.labels == std::vector<int32_t>{7, 1, 3});
  CHECK(both.images.size() == 18);
  CHECK(both.image(2)[0] == 13);
  CHECK(open_dataset(train + ";" + more, Split::all).labels.empty());
  CHECK(open_dataset(train, Split::all).count == 2);  // there is no second part
  CHECK(open_dataset("synthetic:10", Split::all, {.image_size = 8}).count == 12);
  const auto one = folder.write("ti", idx_bytes({1, 1, 1}, {5}));
  CHECK(has(error_of(Exit::data, [&] { open_dataset(train + ";" + one, Split::all); }), "2x3x1"));
  CHECK(open_dataset("idx:" + images + "," + labels, Split::train).labels.size() == 2);
  CHECK(open_dataset("idx:" + images + "," + labels, Split::train, {.limit = 1}).images.size() == 6);
  CHECK(open_dataset("idx:" + images + "," + labels + ";" + one, Split::test).images == Bytes{5});
  CHECK(has(error_of(Exit::config, [&] { open_dataset("idx:" + images + "," + labels, Split::test); }),
            "no test"));
  error_of(Exit::config, [] { open_dataset("idx", Split::train); });
  CHECK_FALSE(has_test_split("idx:" + images + "," + labels));
  CHECK(has_test_split("idx:" + images + "," + labels + ";" + one));
}

TEST_CASE("nearest_word finds what was meant and nothing far-fetched", "[data]") {
  CHECK(edit_distance("kitten", "sitting") == 3);
  CHECK(edit_distance("", "abc") == 3);
  const std::vector<std::string> words = {"train", "test", "knn"};
  CHECK(nearest_word("tain", words) == "train");
  CHECK(nearest_word("kn", words) == "knn");
  CHECK(nearest_word("completely", words).empty());
  CHECK(nearest_word("x", {}).empty());
}
