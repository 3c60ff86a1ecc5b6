// Data sets from files made here, whole and damaged.
#include "kernels/check.h"
#undef CHECK  // Catch2 has one too
#include <omp.h>
#include <sys/stat.h>
#include <zlib.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <limits>

#include "data/cifar.h"
#include "data/idx.h"
#include "data/image_folder.h"
#include "data/nearest.h"
#include "data/open.h"
#include "data/synthetic.h"

using namespace stopgrad;
using Bytes = std::vector<uint8_t>;
namespace fs = std::filesystem;

namespace {

/// The message of the error that `action` has to raise.
std::string error_of(Exit code, const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    INFO(error.what());
    REQUIRE(error.code() == code);
    return error.what();
  }
  FAIL("no error was raised");
  return {};
}

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

/// A folder of its own, gone with the test.
struct Folder {
  Folder() {
    std::string pattern = (fs::temp_directory_path() / "stopgrad.XXXXXX").string();
    REQUIRE(::mkdtemp(pattern.data()) != nullptr);
    root = fs::canonical(pattern);
  }
  ~Folder() { fs::remove_all(root); }
  std::string at(const std::string& name) const { return (root / name).string(); }
  std::string write(const std::string& name, const Bytes& bytes) const {
    fs::create_directories((root / name).parent_path());
    std::ofstream(root / name, std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    return at(name);
  }
  /// A grey PNG of one value.
  void image(const std::string& name, uint8_t value) const {
    const Bytes pixels(4 * 6, value);
    write(name, encode_png(pixels.data(), 4, 6, 1));
  }
  fs::path root;
};

Bytes bytes_of(const std::string& text) { return {text.begin(), text.end()}; }

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

FolderOptions quiet(int size, std::vector<std::string>* warnings = nullptr) {
  FolderOptions options;
  options.size = size;
  options.warn = [warnings](const std::string& text) {
    if (warnings != nullptr) warnings->push_back(text);
  };
  return options;
}

}  // namespace

TEST_CASE("IDX files read alike plain and gzipped", "[data]") {
  const Folder folder;
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
  const Folder folder;
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
  const Folder folder;
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
  const Folder folder;
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
  const Folder folder;
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
  const Folder folder;
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
  const Folder folder;
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

TEST_CASE("a folder has a class per subfolder, in the order of names", "[data]") {
  const Folder folder;
  folder.image("zebra/1.png", 10);
  folder.image("ant/2.PNG", 20);
  folder.image("ant/deep/1.png", 30);
  folder.image("ant/no_extension", 40);
  folder.image("ant/.hidden.png", 50);
  folder.write("ant/notes.txt", bytes_of("not an image"));
  folder.write("empty_class/readme", bytes_of("none here"));
  const FolderList list = list_images(folder.root.string());
  const Dataset set = load_images(list, quiet(2));
  CHECK(set.classes == std::vector<std::string>{"ant", "zebra"});
  CHECK(set.files ==
        std::vector<std::string>{"ant/2.PNG", "ant/deep/1.png", "ant/no_extension", "zebra/1.png"});
  CHECK(set.labels == std::vector<int32_t>{0, 0, 0, 1});
  CHECK(set.channels == 3);
  CHECK(set.image_bytes() == 12);
  for (int i = 0; i < 4; ++i) CHECK(int(set.image(i)[0]) == std::vector<int>{20, 30, 40, 10}[i]);
  folder.image("stray.png", 1);
  CHECK(has(error_of(Exit::data, [&] { list_images(folder.root.string()); }), "stray.png"));
}

TEST_CASE("a flat folder has no labels, an empty one is an error", "[data]") {
  const Folder folder;
  CHECK(has(error_of(Exit::data, [&] { list_images(folder.root.string()); }), "no JPEG, PNG or BMP"));
  error_of(Exit::data, [&] { list_images(folder.at("missing")); });
  error_of(Exit::data, [&] { list_images(folder.write("file", {1})); });
  folder.image("b.png", 2);
  folder.image("a.png", 1);
  const Dataset set = load_images(list_images(folder.root.string()), quiet(4));
  CHECK(set.files == std::vector<std::string>{"a.png", "b.png"});
  CHECK(set.labels.empty());
  CHECK(set.classes.empty());
}

TEST_CASE("bad images are named and dropped, too many of them are an error", "[data]") {
  const Folder folder;
  for (const int i : {0, 1, 2}) folder.image("c/" + std::to_string(i) + ".png", static_cast<uint8_t>(i));
  for (const int i : {3, 4, 5}) folder.image("d/" + std::to_string(i) + ".png", static_cast<uint8_t>(i));
  folder.write("c/1.png", bytes_of("<html>"));
  folder.write("d/4.png", {});
  folder.write("d/6.webp", bytes_of("RIFF....WEBPVP8 "));
  REQUIRE(::mkfifo(folder.at("d/7.jpg").c_str(), 0600) == 0);
  std::vector<std::string> warnings;
  FolderOptions options = quiet(2, &warnings);
  options.max_bad = 4;
  const Dataset set = load_images(list_images(folder.root.string()), options);
  CHECK(set.count == 4);
  CHECK(set.files == std::vector<std::string>{"c/0.png", "c/2.png", "d/3.png", "d/5.png"});
  CHECK(set.labels == std::vector<int32_t>{0, 0, 1, 1});
  CHECK(set.images.size() == 4 * 12);
  for (int i = 0; i < 4; ++i) CHECK(int(set.image(i)[0]) == std::vector<int>{0, 2, 3, 5}[i]);
  REQUIRE(warnings.size() == 4);
  CHECK(has(warnings[0], folder.at("c/1.png")));
  CHECK(has(warnings[2], "WebP"));
  CHECK(has(warnings[3], "not a regular file"));

  options.max_bad = 3;
  const auto text = error_of(Exit::data, [&] { load_images(list_images(folder.root.string()), options); });
  CHECK(has(text, "more than 3 bad images"));
  CHECK(has(text, "d/4.png"));
  const Folder hopeless;
  hopeless.write("a.jpg", {});
  error_of(Exit::data, [&] { load_images(list_images(hopeless.root.string()), quiet(2)); });
}

TEST_CASE("links may point inside the folder, not outside and not to folders", "[data]") {
  const Folder outside, folder;
  outside.image("secret.png", 1);
  folder.image("a/1.png", 5);
  fs::create_directories(folder.root / "b");
  fs::create_symlink("../a/1.png", folder.root / "b/2.png");
  const Dataset set = load_images(list_images(folder.root.string()), quiet(2));
  CHECK(set.files == std::vector<std::string>{"a/1.png", "b/2.png"});
  CHECK(set.image(1)[0] == 5);

  for (const char* name : {"b/3.png", "b/plain", "top.png"}) {
    fs::create_symlink(outside.at("secret.png"), folder.root / name);
    CHECK(has(error_of(Exit::data, [&] { list_images(folder.root.string()); }), folder.at(name)));
    fs::remove(folder.root / name);
  }
  for (const char* name : {"b/loop", "c"}) {
    fs::create_directory_symlink(folder.root / "b", folder.root / name);
    CHECK(has(error_of(Exit::data, [&] { list_images(folder.root.string()); }), "a link to a folder"));
    fs::remove(folder.root / name);
  }
}

TEST_CASE("a train folder that is a link is not followed either", "[data]") {
  const Folder outside, folder;
  outside.image("a/1.png", 1);
  folder.image("val/a/1.png", 1);
  fs::create_directory_symlink(outside.root, folder.root / "train");
  CHECK(
      has(error_of(Exit::data, [&] { list_split(folder.root.string(), Split::train); }), folder.at("train")));
}

TEST_CASE("a folder's splits are its train and val folders", "[data]") {
  const Folder folder;
  for (const char* name : {"train/a/1.png", "train/b/1.png", "train/c/1.png", "val/c/2.png", "val/b/2.png"})
    folder.image(name, 9);
  const Dataset train = open_dataset("folder:" + folder.root.string(), Split::train, {.image_size = 2});
  const Dataset test = open_dataset("folder:" + folder.root.string(), Split::test, {.image_size = 2});
  CHECK(train.files == std::vector<std::string>{"train/a/1.png", "train/b/1.png", "train/c/1.png"});
  CHECK(test.files == std::vector<std::string>{"val/b/2.png", "val/c/2.png"});
  CHECK(test.labels == std::vector<int32_t>{1, 2});  // numbered as in train, though a has no image here
  CHECK(test.classes == train.classes);
  folder.image("val/d/1.png", 1);
  CHECK(has(error_of(Exit::data, [&] { list_split(folder.root.string(), Split::test); }), "class d"));
  fs::rename(folder.root / "val", folder.root / "test");
  fs::remove_all(folder.root / "test/d");
  CHECK(list_split(folder.root.string(), Split::test).files.size() == 2);
}

TEST_CASE("a folder without a test folder lends every tenth image", "[data]") {
  const Folder folder;
  for (int i = 0; i < 25; ++i)
    folder.image(i < 12 ? "train/" + std::to_string(10 + i) : "plane/" + std::to_string(10 + i), 1);
  const FolderList train = list_split(folder.root.string(), Split::train);
  const FolderList test = list_split(folder.root.string(), Split::test);
  CHECK(train.files.size() == 23);
  REQUIRE(test.files.size() == 2);  // "plane" sorts before "train", which is a class here
  CHECK(test.files[0].path == "plane/31");
  CHECK(test.files[1].path == "train/16");
  CHECK(test.files[1].label == 1);

  fs::remove_all(folder.root / "plane");
  CHECK(list_split(folder.root.string(), Split::train).files.size() == 11);
  CHECK(list_split(folder.root.string(), Split::test).files.size() == 1);
  for (int i = 0; i < 4; ++i) fs::remove(folder.root / "train" / std::to_string(10 + i));
  CHECK(has(error_of(Exit::data, [&] { list_split(folder.root.string(), Split::test); }), "too few"));
}

TEST_CASE("a limit takes files of a folder from all its classes", "[data]") {
  const Folder folder;
  for (int i = 0; i < 30; ++i)
    folder.image(std::string(1, static_cast<char>('a' + i / 10)) + "/" + std::to_string(i), 1);
  const Dataset set =
      open_dataset("folder:" + folder.root.string(), Split::train, {.image_size = 2, .limit = 6});
  CHECK(set.labels == std::vector<int32_t>{0, 0, 1, 1, 2, 2});
}

TEST_CASE("a folder reads the same with one thread and with four", "[data]") {
  const Folder folder;
  for (int i = 0; i < 40; ++i) folder.image(std::to_string(i), static_cast<uint8_t>(3 * i));
  folder.write("17", bytes_of("BMbroken"));
  const FolderList list = list_images(folder.root.string());
  const int threads = omp_get_max_threads();
  omp_set_num_threads(1);
  const Dataset one = load_images(list, quiet(3));
  omp_set_num_threads(4);
  const Dataset four = load_images(list, quiet(3));
  omp_set_num_threads(threads);
  CHECK(one.count == 39);
  CHECK(one.images == four.images);
  CHECK(one.files == four.files);
}

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

TEST_CASE("open_dataset says which kinds there are and which one was meant", "[data]") {
  const auto text = error_of(Exit::config, [] { open_dataset("cifar-10:/tmp", Split::train); });
  CHECK(has(text, "did you mean 'cifar10'?"));
  CHECK(has(text, "fashion_mnist, cifar10, cifar100, idx, folder, synthetic"));
  CHECK(!has(error_of(Exit::config, [] { open_dataset("", Split::train); }), "did you mean"));
}

TEST_CASE("open_dataset says what to install or unpack, and where", "[data]") {
  const Folder folder;
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
  const Folder folder;
  const auto images = folder.write("i", kImages), labels = folder.write("l", kLabels);
  const auto one = folder.write("ti", idx_bytes({1, 1, 1}, {5}));
  CHECK(open_dataset("idx:" + images + "," + labels, Split::train).labels.size() == 2);
  CHECK(open_dataset("idx:" + images + "," + labels, Split::train, {.limit = 1}).images.size() == 6);
  CHECK(open_dataset("idx:" + images + "," + labels + ";" + one, Split::test).images == Bytes{5});
  CHECK(has(error_of(Exit::config, [&] { open_dataset("idx:" + images + "," + labels, Split::test); }),
            "no test"));
  error_of(Exit::config, [] { open_dataset("idx", Split::train); });
}

TEST_CASE("open_dataset draws as many synthetic images as asked, a fifth to test on", "[data]") {
  CHECK(open_dataset("synthetic:50", Split::train, {.image_size = 8}).count == 50);
  CHECK(open_dataset("synthetic:50", Split::test, {.image_size = 8}).count == 10);
  CHECK(open_dataset("synthetic", Split::train, {.image_size = 8, .limit = 3}).count == 3);
  for (const char* spec : {"synthetic:4", "synthetic:x", "synthetic:10x", "synthetic:99999999999999999999"})
    error_of(Exit::config, [&] { open_dataset(spec, Split::train); });
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
