#include "data/cifar.h"

#include <filesystem>
#include <sstream>

#include "data/free_memory.h"
#include "engine/file.h"
#include "kernels/check.h"

namespace stopgrad {
namespace {

namespace fs = std::filesystem;
constexpr int kSide = 32, kChannels = 3;
constexpr int64_t kPlane = kSide * kSide, kPixels = kPlane * kChannels;
constexpr int64_t kMaxFile = int64_t{1} << 31;

struct Layout {
  const char* name;
  const char* inner_folder;           // what the official archive unpacks to
  const char* names_file;             // one class a line
  std::vector<std::string> train;     // files
  std::string test;                   // file
  std::vector<int> classes_of_label;  // of each label byte of a record; the last one is kept
};

const Layout& cifar10() {
  static const Layout layout{
      "cifar10",
      "cifar-10-batches-bin",
      "batches.meta.txt",
      {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin"},
      "test_batch.bin",
      {10}};
  return layout;
}

const Layout& cifar100() {
  static const Layout layout{"cifar100",    "cifar-100-binary", "fine_label_names.txt",
                             {"train.bin"}, "test.bin",         {20, 100}};  // coarse, then fine
  return layout;
}

void append_records(const Layout& layout, const std::string& path, Dataset& set) {
  std::error_code unknown;  // the file is: read_file says so
  const auto file_bytes = static_cast<int64_t>(fs::file_size(path, unknown));
  if (!unknown)  // the file, its images, and room to move those of the files before it
    require_memory(2 * file_bytes + set.count * kPixels, path + ": its images", "use a smaller set");
  const std::string bytes = read_file(path, kMaxFile, Exit::data);
  const auto label_bytes = static_cast<int64_t>(layout.classes_of_label.size());
  const int64_t record = label_bytes + kPixels;
  const auto size = static_cast<int64_t>(bytes.size());
  const int64_t records = size / record;
  if (size == 0 || size % record != 0)
    fail(Exit::data,
         "{}: {} bytes are no whole number of {}-byte records, the broken one starts at offset {}", path,
         size, record, records * record);
  set.images.resize(static_cast<size_t>((set.count + records) * kPixels));
  for (int64_t i = 0; i < records; ++i) {
    const auto* from = reinterpret_cast<const uint8_t*>(bytes.data()) + i * record;
    for (int64_t k = 0; k < label_bytes; ++k)
      if (from[k] >= layout.classes_of_label[k])
        fail(Exit::data, "{}: label {} at offset {}, labels go from 0 to {}", path, from[k], i * record + k,
             layout.classes_of_label[k] - 1);
    set.labels.push_back(from[label_bytes - 1]);
    const uint8_t* planes = from + label_bytes;
    uint8_t* to = set.images.data() + (set.count + i) * kPixels;
    for (int64_t p = 0; p < kPlane; ++p)
      for (int c = 0; c < kChannels; ++c) to[p * kChannels + c] = planes[c * kPlane + p];
  }
  set.count += records;
}

std::vector<std::string> read_names(const fs::path& path, size_t expected) {
  if (!fs::exists(path)) return {};
  std::istringstream text(read_file(path.string(), 1 << 16, Exit::data));
  std::vector<std::string> names;
  for (std::string line; std::getline(text, line);) {
    while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.pop_back();
    if (!line.empty()) names.push_back(line);
  }
  if (names.size() != expected)
    fail(Exit::data, "{}: {} class names, {} expected", path.string(), names.size(), expected);
  return names;
}

Dataset read_cifar(const Layout& layout, const std::string& folder, Split split) {
  fs::path base = folder;
  if (fs::is_directory(base / layout.inner_folder)) base /= layout.inner_folder;
  Dataset set;
  set.name = layout.name;
  set.height = set.width = kSide;
  set.channels = kChannels;
  const auto files = split == Split::train ? layout.train : std::vector<std::string>{layout.test};
  for (const auto& file : files) append_records(layout, (base / file).string(), set);
  set.classes = read_names(base / layout.names_file, layout.classes_of_label.back());
  return set;
}

}  // namespace

Dataset read_cifar10(const std::string& folder, Split split) { return read_cifar(cifar10(), folder, split); }
Dataset read_cifar100(const std::string& folder, Split split) {
  return read_cifar(cifar100(), folder, split);
}

}  // namespace stopgrad
