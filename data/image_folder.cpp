#include "data/image_folder.h"

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "data/free_memory.h"
#include "kernels/check.h"

namespace stopgrad {
namespace {

/// Names of files may hold anything; a terminal obeys control characters.
std::string printable(std::string text) {
  for (char& c : text)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  return text;
}

/// What is wrong with a file; nothing where all is well.
struct Problem {
  std::string text;
  bool memory = false;  // there was none to decode it: no fault of the file
};

/// Decodes one file to `pixels`, [size, size, 3].
Problem decode_into(const std::string& path, int size, const DecodeLimits& limits, uint8_t* pixels) {
  const auto about_it = [&](const std::string& what) {
    return what.starts_with(path) ? what : path + ": " + what;
  };
  try {
    const Image square = square_resize(read_image(path, limits), size);
    std::memcpy(pixels, square.pixels.data(), square.pixels.size());
    return {};
  } catch (const Error& error) {
    return {about_it(error.what()), error.code() == Exit::memory};
  } catch (const std::bad_alloc&) {
    return {path + ": no memory to decode it; shrink the image or remove it", true};
  } catch (const std::exception& error) {
    return {about_it(error.what())};
  }
}

[[noreturn]] void refuse(const FolderList& list, const std::vector<std::string>& bad, int64_t max_bad) {
  std::string names;
  for (size_t i = 0; i < std::min<size_t>(bad.size(), 10); ++i) names += "\n  " + bad[i];
  fail(
      Exit::data,
      "{}: more than {} bad images; remove or repair them, or let more be left out (data.max_bad). The first "
      "ones:{}",
      list.root, max_bad, names);
}

/// Closes the gaps that bad images left, keeping the order.
void drop_bad(Dataset& set, const std::vector<Problem>& problems) {
  const int64_t bytes = set.image_bytes();
  int64_t kept = 0;
  for (int64_t i = 0; i < set.count; ++i) {
    if (!problems[i].text.empty()) continue;
    if (kept != i) {
      std::memcpy(set.images.data() + kept * bytes, set.images.data() + i * bytes, bytes);
      if (!set.labels.empty()) set.labels[kept] = set.labels[i];
      set.files[kept] = std::move(set.files[i]);
    }
    ++kept;
  }
  set.keep_first(kept);
}

}  // namespace

Dataset load_images(const FolderList& list, const FolderOptions& options) {
  ENSURE(options.size >= 1 && options.size <= 16384, "folder: image size {}, it goes from 1 to 16384",
         options.size);
  Dataset set;
  set.name = "folder";
  set.count = static_cast<int64_t>(list.files.size());
  set.height = set.width = options.size;
  set.channels = 3;
  const bool labelled = list.classes.size() > 1;  // one class has nothing to tell apart: 100 % would mislead
  if (labelled) set.classes = list.classes;
  require_memory(set.count * set.image_bytes(),
                 fmt::format("{}: {} images of {}x{}x3", list.root, set.count, options.size, options.size),
                 "set a smaller data.image_size, or data.limit to use fewer images");
  set.images.resize(static_cast<size_t>(set.count * set.image_bytes()));
  for (const auto& file : list.files) {
    set.files.push_back(file.path);
    if (labelled) set.labels.push_back(file.label);
  }

  DecodeLimits limits = options.limits;
  limits.wanted_side = options.size;
  std::vector<Problem> problems(list.files.size());
  std::vector<std::string> bad;
  // In blocks, so that a hopeless folder is given up early and yet always with the same names.
  constexpr int64_t block = 256;
  for (int64_t begin = 0; begin < set.count; begin += block) {
    const int64_t end = std::min(begin + block, set.count);
#pragma omp parallel for schedule(dynamic, 4)
    for (int64_t i = begin; i < end; ++i)
      problems[i] = decode_into(list.root + "/" + list.files[i].path, options.size, limits,
                                set.images.data() + i * set.image_bytes());
    for (int64_t i = begin; i < end; ++i) {
      const auto& [text, memory] = problems[i];
      if (memory) fail(Exit::memory, "{}", text);
      if (text.empty()) continue;
      bad.push_back(text);
      if (options.warn) options.warn("bad image dropped: " + text);
      else std::fprintf(stderr, "bad image dropped: %s\n", printable(text).c_str());
    }
    if (options.progress) options.progress(end, set.count);
    if (static_cast<int64_t>(bad.size()) > options.max_bad) refuse(list, bad, options.max_bad);
  }
  if (static_cast<int64_t>(bad.size()) == set.count) refuse(list, bad, 0);
  drop_bad(set, problems);
  return set;
}

}  // namespace stopgrad
