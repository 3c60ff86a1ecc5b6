// Sets and images that are too large for the memory that is free end with Exit::memory before they take it.
#include "tests/files.h"

#include <sys/resource.h>
#include <unistd.h>
#include <zlib.h>

#include "data/free_memory.h"
#include "data/image_folder.h"
#include "data/open.h"
#include "models/features.h"
#include "tests/image_samples.h"
#include "tests/small_run.h"

using namespace stopgrad;
using namespace stopgrad::test;

namespace {

/// Room for so many bytes more than are mapped now, as ulimit -v gives it.
struct AddressSpace {
  rlimit before{};
  explicit AddressSpace(int64_t bytes) {
    getrlimit(RLIMIT_AS, &before);
    int64_t pages = 0;
    std::ifstream("/proc/self/statm") >> pages;
    rlimit now = before;
    now.rlim_cur = static_cast<rlim_t>(pages * ::sysconf(_SC_PAGESIZE) + bytes);
    REQUIRE(setrlimit(RLIMIT_AS, &now) == 0);
  }
  ~AddressSpace() { setrlimit(RLIMIT_AS, &before); }
};

constexpr int64_t kRoom = int64_t{128} << 20;

void write(const ImageFolder& folder, const std::string& name, const std::string& text) {
  folder.write(name, bytes_of(text));
}

}  // namespace

TEST_CASE("free memory is the least that the machine and all control groups above leave", "[memory]") {
  const ImageFolder root;
  const auto free = [&] { return free_memory(root.root.string()); };
  CHECK(free() == INT64_MAX);
  write(root, "proc/meminfo",
        "MemTotal: 9000 kB\nMemAvailable:    1000 kB\nSwapTotal: 50 kB\nSwapFree: 24 kB\n");
  CHECK(free() == 1024 * 1024);

  write(root, "proc/self/cgroup", "1:name=systemd:/a/b\n0::/a/b\n");
  write(root, "sys/fs/cgroup/a/b/memory.max", "max\n");
  write(root, "sys/fs/cgroup/a/b/memory.current", "100000\n");
  CHECK(free() == 1024 * 1024);
  write(root, "sys/fs/cgroup/a/memory.max", "600000\n");
  write(root, "sys/fs/cgroup/a/memory.current", "200000\n");
  CHECK(free() == 400000);
  write(root, "sys/fs/cgroup/a/memory.stat", "anon 7\nactive_file 30000\ninactive_file 20000\nslab 9\n");
  CHECK(free() == 450000);
  write(root, "sys/fs/cgroup/memory.max", "90000\n");  // as a container sees its own limit
  write(root, "sys/fs/cgroup/memory.current", "80000\n");
  CHECK(free() == 10000);
  write(root, "sys/fs/cgroup/memory.current", "95000\n");
  CHECK(free() == 0);

  write(root, "proc/self/cgroup", "5:cpu:/c\n4:hugetlb,memory:/c/d\n");
  write(root, "sys/fs/cgroup/memory/c/memory.limit_in_bytes", "500000\n");
  write(root, "sys/fs/cgroup/memory/c/memory.usage_in_bytes", "200000\n");
  CHECK(free() == 300000);
  write(root, "sys/fs/cgroup/memory/c/memory.stat",
        "inactive_file 1\ntotal_inactive_file 5000\ntotal_active_file 3000\n");
  CHECK(free() == 308000);
  write(root, "proc/self/cgroup", "nonsense\n\n:\n");
  CHECK(free() == 1024 * 1024);
  CHECK(free_memory() > 0);
}

TEST_CASE("a set that does not fit says how much it needs, and what to do", "[memory]") {
  FolderList list{"photos", {}, std::vector<FolderFile>(10, FolderFile{"a.jpg", 0})};
  open_dataset("synthetic:5", Split::train, {.image_size = 8});  // starts threads, which need room for stacks
  const AddressSpace limit(kRoom);
  FolderOptions options;
  options.size = 4096;  // 503 MB
  const std::string text = error_of(Exit::memory, [&] { load_images(list, options); });
  CHECK(has(text, "photos: 10 images of 4096x4096x3 need 0.50 GB of memory"));
  CHECK(has(text, "data.image_size"));
  CHECK(has(error_of(Exit::memory, [] { open_dataset("synthetic:200", Split::train, {.image_size = 1024}); }),
            "synthetic: 200 images of 1024x1024x3 need 0.63 GB"));
  CHECK(open_dataset("synthetic:5", Split::train, {.image_size = 8}).count == 5);
}

TEST_CASE("files of images are held against the free memory before they are read or unpacked", "[memory]") {
  const ImageFolder folder;
  // 200 MB of zeros, of which gzip leaves 200 KB.
  std::string packed(1 << 20, '\0');
  z_stream stream{};
  REQUIRE(deflateInit2(&stream, 9, Z_DEFLATED, 15 + 16, 9, Z_DEFAULT_STRATEGY) == Z_OK);
  Bytes raw = {0, 0, 8, 3, 0, 0, 0, 50, 0, 0, 7, 208, 0, 0, 7, 208};  // 50 images of 2000 x 2000
  stream.next_out = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_out = static_cast<uInt>(packed.size());
  for (int part = 0; part <= 50; ++part) {
    stream.next_in = raw.data();
    stream.avail_in = static_cast<uInt>(raw.size());
    REQUIRE(deflate(&stream, part == 50 ? Z_FINISH : Z_NO_FLUSH) == (part == 50 ? Z_STREAM_END : Z_OK));
    raw.assign(4'000'000, 0);
  }
  packed.resize(stream.total_out);
  deflateEnd(&stream);
  write(folder, "images.gz", packed);
  for (const char* name : {"huge.idx", "cifar/data_batch_1.bin"}) {
    write(folder, name, "");
    std::filesystem::resize_file(folder.root / name, int64_t{600} << 20);  // of which nothing is on the disk
  }
  const AddressSpace limit(kRoom);
  CHECK(has(error_of(Exit::memory, [&] { open_dataset("idx:" + folder.at("images.gz"), Split::train); }),
            "images.gz: its images need 0.20 GB"));
  CHECK(has(error_of(Exit::memory, [&] { open_dataset("idx:" + folder.at("huge.idx"), Split::train); }),
            "huge.idx: its bytes need 0.63 GB"));
  CHECK(has(error_of(Exit::memory, [&] { open_dataset("cifar10:" + folder.at("cifar"), Split::train); }),
            "data_batch_1.bin: its images need 1.26 GB"));
}

TEST_CASE("an image that there is no memory to decode ends the reading, it is not dropped", "[memory]") {
  const Bytes png = make_png(10000, 10000, 8, 2, {0}), deep = make_png(6000, 6000, 16, 6, {0});
  Bytes jpeg = encode_jpeg(smooth(16, 16, 3), {.progressive = true});
  const Bytes size_of_frame = {8, 0, 16, 0, 16};  // bits, height, width
  const auto frame = std::search(jpeg.begin(), jpeg.end(), size_of_frame.begin(), size_of_frame.end());
  REQUIRE(frame != jpeg.end());
  frame[1] = frame[3] = 9000 >> 8;
  frame[2] = frame[4] = 9000 & 255;
  const ImageFolder folder;
  folder.image("a.png", 1);
  const auto read_all = [&] { load_images(list_images(folder.root.string()), {.size = 4}); };
  read_all();  // starts threads, which need room for stacks
  folder.write("b.png", png);
  const AddressSpace limit(kRoom);
  CHECK(has(error_of(Exit::memory, [&] { decode_image(png, "x"); }),
            "x: 10000 x 10000 pixels need 0.90 GB of memory"));
  CHECK(has(error_of(Exit::memory, [&] { decode_image(deep, "x"); }), "need 0.68 GB"));
  CHECK(has(error_of(Exit::memory, [&] { decode_image(jpeg, "x"); }), "need 0.73 GB"));  // 6 bytes, and 3
  CHECK(has(error_of(Exit::memory, read_all), "b.png: 10000 x 10000"));
}

TEST_CASE("features that do not fit are refused before the first image is computed", "[memory]") {
  Model model(small_recipe(), {8, 8, 3});
  Dataset set = small_set();
  set.count = int64_t{1} << 40;
  const auto text = error_of(Exit::memory, [&] { pixel_features(model, set, EvalView::clean); });
  CHECK(has(text, "192 numbers of each of 1099511627776 images"));
  CHECK(has(text, "--limit"));
}
