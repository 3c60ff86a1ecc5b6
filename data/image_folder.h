#pragma once
// A folder of images: one class per subfolder; flat, or with a single subfolder, without labels.
#include <functional>
#include <string>
#include <vector>

#include "data/dataset.h"
#include "data/image_file.h"

namespace stopgrad {

struct FolderFile {
  std::string path;  // below FolderList::root
  int32_t label;     // index into classes; 0 when there are none
};

struct FolderList {
  std::string root;
  std::vector<std::string> classes;  // sorted by bytes; empty when flat
  std::vector<FolderFile> files;     // sorted by class, then by path
};

/// The images below root/below: files named like images or that start like one; hidden ones are left out.
/// Subfolders of a class are searched too. No image, images beside class folders, a link that leaves `root`,
/// a link to a folder: Error(Exit::data).
FolderList list_images(const std::string& root, const std::string& below = "");

/// What belongs to a split. With root/train: that folder, and root/val or root/test, whose classes must be
/// among those of train. Without: every tenth image (9, 19, ...) of the list is the test split. Split::all
/// are the images of all these folders, or the whole list.
FolderList list_split(const std::string& root, Split split);

/// Keeps `limit` files spread evenly over the list, hence over the classes; 0 keeps all.
void keep_evenly(FolderList& list, int64_t limit);

struct FolderOptions {
  int size = 32;  // pixels: the short side is resized to it, then the centre square is cut
  int64_t max_bad = 10;
  DecodeLimits limits;
  std::function<void(const std::string& message)>
      warn{};  // one call per bad image; default: a line on stderr
  std::function<void(int64_t done, int64_t total)> progress{};
};

/// Decodes every file once, in parallel, to [count, size, size, 3] in the order of the list. A bad image is
/// reported and dropped; more than max_bad of them throw Error(Exit::data) naming the first ones. Where the
/// memory for the set, or to decode an image, is not free: Error(Exit::memory).
Dataset load_images(const FolderList& list, const FolderOptions& options);

}  // namespace stopgrad
