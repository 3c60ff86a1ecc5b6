// Folders of images: classes, splits, links, bad files.
#include "tests/files.h"

#ifdef _OPENMP
#include <omp.h>
#endif
#include <sys/stat.h>

#include "data/image_folder.h"
#include "data/open.h"

using namespace stopgrad;
using namespace stopgrad::test;
namespace fs = std::filesystem;

namespace {

FolderOptions quiet(int size, std::vector<std::string>* warnings = nullptr) {
  FolderOptions options;
  options.size = size;
  options.warn = [warnings](const std::string& text) {
    if (warnings != nullptr) warnings->push_back(text);
  };
  return options;
}

}  // namespace

TEST_CASE("a folder has a class per subfolder, in the order of names", "[data]") {
  const ImageFolder folder;
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
  const ImageFolder folder;
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

TEST_CASE("a single class is no label", "[data]") {
  const ImageFolder folder;
  folder.image("photos/train/a.png", 1);
  folder.image("photos/val/b.png", 2);
  const Dataset set = load_images(list_images(folder.root.string()), quiet(4));
  CHECK(set.count == 2);
  CHECK((set.labels.empty() && set.classes.empty()));
}

TEST_CASE("bad images are named and dropped, too many of them are an error", "[data]") {
  const ImageFolder folder;
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
  CHECK(has(text, "data.max_bad"));
  CHECK(has(text, "d/4.png"));
  const ImageFolder hopeless;
  hopeless.write("a.jpg", {});
  error_of(Exit::data, [&] { load_images(list_images(hopeless.root.string()), quiet(2)); });
}

TEST_CASE("links may point inside the folder, not outside and not to folders", "[data]") {
  const ImageFolder outside, folder;
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
  const ImageFolder outside, folder;
  outside.image("a/1.png", 1);
  folder.image("val/a/1.png", 1);
  fs::create_directory_symlink(outside.root, folder.root / "train");
  CHECK(
      has(error_of(Exit::data, [&] { list_split(folder.root.string(), Split::train); }), folder.at("train")));
}

TEST_CASE("a held-out folder has one of its usual names, and a folder needs no prefix", "[data]") {
  for (const char* name : {"val", "valid", "validation", "test"}) {
    ImageFolder folder;
    for (const char* file : {"train/a/1.png", "train/b/1.png"}) folder.image(file, 1);
    folder.image(std::string(name) + "/b/2.png", 2);
    CHECK(open_dataset(folder.root, Split::train).count == 2);
    CHECK(open_dataset("folder:" + folder.root.string(), Split::test).files ==
          std::vector<std::string>{std::string(name) + "/b/2.png"});
  }
}

TEST_CASE("a folder's splits are its train and val folders", "[data]") {
  const ImageFolder folder;
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
  const ImageFolder folder;
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

TEST_CASE("all images of a folder are those of its splits together", "[data]") {
  const ImageFolder plain, divided;
  for (int i = 10; i < 35; ++i) plain.image("c/" + std::to_string(i), 1);
  const FolderList all = list_split(plain.root.string(), Split::all);
  REQUIRE(all.files.size() == 25);
  CHECK(all.files[9].path == "c/19");  // which the test split takes

  for (const char* name : {"train/a/1.png", "train/b/1.png", "val/b/2.png", "test/b/3.png"})
    divided.image(name, 9);
  const Dataset set = open_dataset("folder:" + divided.root.string(), Split::all, {.image_size = 2});
  CHECK(set.files ==
        std::vector<std::string>{"train/a/1.png", "train/b/1.png", "val/b/2.png", "test/b/3.png"});
  CHECK(set.labels == std::vector<int32_t>{0, 1, 1, 1});
  // A part without classes has no labels, so the whole has none.
  fs::rename(divided.root / "test/b/3.png", divided.root / "test/3.png");
  const Dataset mixed = open_dataset(divided.root.string(), Split::all, {.image_size = 2});
  CHECK(mixed.files.back() == "test/3.png");
  CHECK((mixed.labels.empty() && mixed.classes.empty()));
}

TEST_CASE("a home folder that no shell has put in is explained", "[data]") {
  const auto text = error_of(Exit::data, [] { open_dataset("folder:~/no such photos", Split::train); });
  CHECK(has(text, "~/no such photos"));
  CHECK(has(text, "$HOME"));
}

TEST_CASE("reading a folder tells how far it is", "[data]") {
  const ImageFolder folder;
  for (int i = 0; i < 300; ++i) folder.image(std::to_string(i), 1);
  std::vector<std::pair<int64_t, int64_t>> heard;
  OpenOptions options{.image_size = 2};
  options.progress = [&](int64_t done, int64_t total) { heard.emplace_back(done, total); };
  open_dataset(folder.root.string(), Split::all, options);
  CHECK(heard == std::vector<std::pair<int64_t, int64_t>>{{256, 300}, {300, 300}});
}

TEST_CASE("a limit takes files of a folder from all its classes", "[data]") {
  const ImageFolder folder;
  for (int i = 0; i < 30; ++i)
    folder.image(std::string(1, static_cast<char>('a' + i / 10)) + "/" + std::to_string(i), 1);
  const Dataset set =
      open_dataset("folder:" + folder.root.string(), Split::train, {.image_size = 2, .limit = 6});
  CHECK(set.labels == std::vector<int32_t>{0, 0, 1, 1, 2, 2});
}

#ifdef _OPENMP
TEST_CASE("a folder reads the same with one thread and with four", "[data]") {
  const ImageFolder folder;
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
#endif
