#include "data/open.h"

#include <algorithm>
#include <charconv>
#include <filesystem>

#include "data/cifar.h"
#include "data/idx.h"
#include "data/image_folder.h"
#include "data/nearest.h"
#include "data/synthetic.h"
#include "kernels/check.h"

namespace stopgrad {
namespace {

namespace fs = std::filesystem;

Dataset open_fashion_mnist(const std::string& folder, Split split) {
  const fs::path base = folder.empty() ? "/usr/share/datasets/fashion-mnist" : folder;
  const std::string part = split == Split::train ? "train" : "t10k";
  const auto find = [&](const std::string& file) {
    for (const auto& path : {base / (file + ".gz"), base / file})
      if (fs::exists(path)) return path.string();
    fail(Exit::data,
         "fashion_mnist: no {}.gz in {}; apt-get install dataset-fashion-mnist, or name the folder: {}", file,
         base.string(), "fashion_mnist:DIR");
  };
  Dataset set = read_idx(find(part + "-images-idx3-ubyte"), find(part + "-labels-idx1-ubyte"));
  set.classes = {"T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
                 "Sandal",      "Shirt",   "Sneaker",  "Bag",   "Ankle boot"};
  for (const int32_t label : set.labels)
    if (label > 9)
      fail(Exit::data, "fashion_mnist: label {} in {}, labels go from 0 to 9", label, base.string());
  return set;
}

void need_folder(const std::string& kind, const std::string& folder, const std::string& hint) {
  if (folder.empty()) fail(Exit::config, "{}: which folder? Write {}:DIR", kind, kind);
  if (folder.starts_with('~') && !fs::exists(folder))
    fail(Exit::data, "{}: {}: a shell replaces ~ only at the start of a word; write $HOME in its place", kind,
         folder);
  if (!fs::is_directory(folder)) fail(Exit::data, "{}: {} is not a folder; {}", kind, folder, hint);
}

/// `inner` is the folder that the official archive unpacks to, `file` the one to look for.
void need_cifar(const std::string& kind, const std::string& folder, const char* inner, const char* file) {
  const std::string hint =
      fmt::format("unpack the binary version of cs.toronto.edu/~kriz/cifar.html into it, as {}", inner);
  need_folder(kind, folder, hint);
  const fs::path base = folder;
  if (!fs::exists(base / file) && !fs::exists(base / inner / file))
    fail(Exit::data, "{}: no {} in {}; {}", kind, file, folder, hint);
}

Dataset open_cifar10(const std::string& folder, Split split) {
  need_cifar("cifar10", folder, "cifar-10-batches-bin",
             split == Split::train ? "data_batch_1.bin" : "test_batch.bin");
  return read_cifar10(folder, split);
}

Dataset open_cifar100(const std::string& folder, Split split) {
  need_cifar("cifar100", folder, "cifar-100-binary", split == Split::train ? "train.bin" : "test.bin");
  return read_cifar100(folder, split);
}

/// Text before and after the first `separator`; all of it before when there is none.
std::pair<std::string, std::string> split_at(const std::string& text, char separator) {
  const size_t at = text.find(separator);
  if (at == std::string::npos) return {text, ""};
  return {text.substr(0, at), text.substr(at + 1)};
}

Dataset open_idx(const std::string& files, Split split) {
  const auto [train, test] = split_at(files, ';');
  const auto [images, labels] = split_at(split == Split::train ? train : test, ',');
  if (images.empty())
    fail(Exit::config, "idx: no {} files in 'idx:{}'; write idx:IMAGES,LABELS;TEST_IMAGES,TEST_LABELS",
         split == Split::train ? "train" : "test", files);
  return read_idx(images, labels);
}

Dataset open_folder(const std::string& folder, Split split, const OpenOptions& options) {
  need_folder("folder", folder, "it should hold images, or one subfolder of images per class");
  FolderList list = list_split(folder, split);
  keep_evenly(list, options.limit);
  FolderOptions how;
  how.size = options.image_size;
  how.max_bad = options.max_bad;
  how.warn = options.warn;
  how.progress = options.progress;
  return load_images(list, how);
}

Dataset open_synthetic(const std::string& text, Split split, const OpenOptions& options) {
  int64_t count = 10000;
  const auto end = text.data() + text.size();
  if (!text.empty()) {
    const auto [stop, error] = std::from_chars(text.data(), end, count);
    if (error != std::errc() || stop != end || count < 5)
      fail(Exit::config, "synthetic:{}: the count of images is a number from 5 up", text);
  }
  if (split == Split::test) count /= 5;
  if (options.limit > 0) count = std::min(count, options.limit);
  return make_synthetic(count, options.image_size, 3, options.seed, split);
}

const std::vector<std::string> kKinds = {"fashion_mnist", "cifar10", "cifar100",
                                         "idx",           "folder",  "synthetic"};

Dataset open_kind(const std::string& kind, const std::string& rest, Split split, const OpenOptions& options) {
  const bool known = std::find(kKinds.begin(), kKinds.end(), kind) != kKinds.end();
  if (known && kind != "folder" && split == Split::all) {
    Dataset set = open_kind(kind, rest, Split::train, options);
    if (has_test_split(kind + ":" + rest)) set.append(open_kind(kind, rest, Split::test, options));
    return set;
  }
  if (kind == "fashion_mnist") return open_fashion_mnist(rest, split);
  if (kind == "cifar10") return open_cifar10(rest, split);
  if (kind == "cifar100") return open_cifar100(rest, split);
  if (kind == "idx") return open_idx(rest, split);
  if (kind == "folder") return open_folder(rest, split, options);
  if (kind == "synthetic") return open_synthetic(rest, split, options);
  if (fs::is_directory(kind)) return open_folder(rest.empty() ? kind : kind + ":" + rest, split, options);
  fail(Exit::config, "data set '{}': unknown kind; {}known are {}", kind, did_you_mean(kind, kKinds),
       fmt::join(kKinds, ", "));
}

}  // namespace

Dataset open_dataset(const std::string& spec, Split split, const OpenOptions& options) {
  const auto [kind, rest] = split_at(spec, ':');
  try {
    Dataset set = open_kind(kind, rest, split, options);
    set.name = kind;
    set.keep_first(options.limit);
    return set;
  } catch (const fs::filesystem_error& error) {  // a folder that may not be listed, a name too long
    fail(Exit::data, "{}: {}", kind, error.what());
  }
}

bool has_test_split(const std::string& spec) {
  return !spec.starts_with("idx:") || spec.find(';') != std::string::npos;
}

}  // namespace stopgrad
