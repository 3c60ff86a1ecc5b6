// Which files of a folder belong to a data set.
#include <algorithm>
#include <array>
#include <filesystem>
#include <set>

#include "data/image_folder.h"
#include "engine/file.h"
#include "kernels/check.h"

namespace stopgrad {
namespace {

namespace fs = std::filesystem;

bool hidden(const fs::path& path) { return path.filename().string().starts_with('.'); }

/// Kinds that are not read are listed too: they shall be reported as bad, not passed over.
bool named_like_image(const fs::path& path) {
  static const std::set<std::string> names = {".jpg", ".jpeg", ".png", ".bmp", ".gif",  ".webp",
                                              ".tif", ".tiff", ".ppm", ".pgm", ".heic", ".avif"};
  std::string extension = path.extension().string();
  for (char& c : extension)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return names.contains(extension);
}

/// Refuses what a stranger's archive could use to make us read elsewhere.
void check_link(const fs::path& link, const fs::path& root) {
  std::error_code error;
  const fs::path target = fs::canonical(link, error);
  if (error) return;  // dangling: reported as a bad image if it is named like one
  const auto [in_root, in_target] = std::mismatch(root.begin(), root.end(), target.begin(), target.end());
  if (in_root != root.end())
    fail(Exit::data, "{}: a link to {}, outside of {}; copy the file, or give the folder that holds both",
         link.string(), target.string(), root.string());
  if (fs::is_directory(target))
    fail(Exit::data, "{}: a link to a folder; those are not followed", link.string());
}

bool is_image(const fs::directory_entry& entry) {
  if (named_like_image(entry.path())) return true;
  std::error_code error;
  if (!entry.is_regular_file(error)) return false;
  try {
    InputFile file(entry.path().string(), INT64_MAX, Exit::data);
    std::array<uint8_t, 8> start{};
    const auto bytes = std::span(start).first(std::min<uint64_t>(start.size(), file.size()));
    file.read(std::as_writable_bytes(bytes));
    return image_kind(bytes) != ImageKind::other;
  } catch (const Error&) {
    return false;
  }
}

/// Images anywhere below `folder`, in no order.
std::vector<fs::path> find_images(const fs::path& folder, const fs::path& root) {
  std::vector<fs::path> found;
  for (auto at = fs::recursive_directory_iterator(folder); at != fs::recursive_directory_iterator(); ++at) {
    if (hidden(at->path())) {
      at.disable_recursion_pending();
      continue;
    }
    if (at->is_symlink()) check_link(at->path(), root);
    if (!at->is_directory() && is_image(*at)) found.push_back(at->path());
  }
  return found;
}

struct Entries {
  std::vector<fs::path> folders, images;  // sorted
};

Entries entries_of(const fs::path& folder, const fs::path& root) {
  Entries entries;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (hidden(entry.path())) continue;
    if (entry.is_symlink()) check_link(entry.path(), root);
    if (entry.is_directory()) entries.folders.push_back(entry.path());
    else if (is_image(entry)) entries.images.push_back(entry.path());
  }
  std::sort(entries.folders.begin(), entries.folders.end());
  std::sort(entries.images.begin(), entries.images.end());
  return entries;
}

FolderList list_checked(const fs::path& root, const fs::path& folder) {
  FolderList list;
  list.root = root.string();
  const auto add = [&](const fs::path& file, int32_t label) {
    list.files.push_back({file.lexically_relative(root).string(), label});
  };
  const Entries entries = entries_of(folder, root);
  for (const auto& image : entries.images) add(image, 0);
  for (const auto& subfolder : entries.folders) {
    auto images = find_images(subfolder, root);
    if (images.empty()) continue;
    if (!entries.images.empty())
      fail(Exit::data, "{}: images (such as {}) beside class folders (such as {}); move one kind away",
           folder.string(), entries.images[0].filename().string(), subfolder.filename().string());
    std::sort(images.begin(), images.end());
    for (const auto& image : images) add(image, static_cast<int32_t>(list.classes.size()));
    list.classes.push_back(subfolder.filename().string());
  }
  if (list.files.empty())
    fail(Exit::data, "{}: no JPEG, PNG or BMP image in it or in its subfolders", folder.string());
  return list;
}

fs::path checked_root(const std::string& root) {
  std::error_code error;
  const fs::path path = fs::canonical(root, error);
  if (error) fail(Exit::data, "folder {}: {}", root, error.message());
  if (!fs::is_directory(path)) fail(Exit::data, "folder {}: not a folder", root);
  return path;
}

/// Labels of `list` as indices into `classes`.
void relabel(FolderList& list, const std::vector<std::string>& classes, const std::string& folder) {
  std::vector<int32_t> label_of;
  for (const auto& name : list.classes) {
    const auto at = std::lower_bound(classes.begin(), classes.end(), name);
    if (at == classes.end() || *at != name)
      fail(Exit::data, "{}/{}: class {} is not among those of {}/train", list.root, folder, name, list.root);
    label_of.push_back(static_cast<int32_t>(at - classes.begin()));
  }
  if (list.classes.empty()) return;
  for (auto& file : list.files) file.label = label_of[file.label];
  list.classes = classes;
}

FolderList list_held_out(const FolderList& train, const std::string& folder) {
  FolderList list = list_images(train.root, folder);
  relabel(list, train.classes, folder);
  return list;
}

void keep_tenth(FolderList& list, Split split) {
  std::vector<FolderFile> kept;
  for (size_t i = 0; i < list.files.size(); ++i)
    if ((i % 10 == 9) == (split == Split::test)) kept.push_back(std::move(list.files[i]));
  if (kept.empty())
    fail(Exit::data, "{}: {} images are too few to set every tenth aside for the test split", list.root,
         list.files.size());
  list.files = std::move(kept);
}

}  // namespace

FolderList list_images(const std::string& root, const std::string& below) {
  const fs::path checked = checked_root(root);
  const fs::path folder = below.empty() ? checked : checked / below;
  if (fs::is_symlink(folder)) check_link(folder, checked);
  return list_checked(checked, folder);
}

FolderList list_split(const std::string& root, Split split) {
  const fs::path checked = checked_root(root);
  const auto has = [&](const char* name) { return fs::is_directory(checked / name); };
  std::vector<std::string> held_out;
  for (const char* name : {"val", "valid", "validation", "test"})
    if (has(name)) held_out.push_back(name);
  // A class may be called "train": only a folder to test on beside it, or nothing beside it, makes it a
  // split.
  const bool divided =
      has("train") && (!held_out.empty() || entries_of(checked, checked).folders.size() == 1);
  FolderList train = list_images(root, divided ? "train" : "");
  if (!divided || held_out.empty()) {
    if (split != Split::all) keep_tenth(train, split);
    return train;
  }
  if (split == Split::train) return train;
  if (split == Split::test) return list_held_out(train, held_out.front());
  FolderList all = train;
  for (const auto& name : held_out) {
    const FolderList more = list_held_out(train, name);
    if (more.classes.empty()) all.classes.clear();  // labels of a part would mislead
    all.files.insert(all.files.end(), more.files.begin(), more.files.end());
  }
  return all;
}

void keep_evenly(FolderList& list, int64_t limit) {
  const auto count = static_cast<int64_t>(list.files.size());
  if (limit <= 0 || limit >= count) return;
  for (int64_t i = 0; i < limit; ++i) list.files[i] = list.files[i * count / limit];
  list.files.resize(static_cast<size_t>(limit));
}

}  // namespace stopgrad
