#pragma once
// What every data set becomes: labelled images of one size, all in memory.
#include <cstdint>
#include <string>
#include <vector>

namespace stopgrad {

/// all: the images of both, those to train on first.
enum class Split { train, test, all };

/// Labelled images, all of one size, uint8 in memory. Labels are for evaluation only.
struct Dataset {
  std::string name;
  int64_t count = 0;
  int height = 0, width = 0, channels = 0;
  std::vector<uint8_t> images;       // [count, height, width, channels]
  std::vector<int32_t> labels;       // [count], or empty
  std::vector<std::string> classes;  // name of each label; may be empty
  std::vector<std::string> files;    // folders only: path below the folder, [count]

  int64_t image_bytes() const { return int64_t{height} * width * channels; }
  /// Image i, [height, width, channels]. An index outside the set throws Error(Exit::failed).
  const uint8_t* image(int64_t i) const;
  /// Adds the images of another set of the same size (else Error(Exit::data)); labels and files stay where
  /// both sets have them.
  void append(const Dataset& more);
  /// Drops all but the first `limit` images; 0 keeps all.
  void keep_first(int64_t limit);
};

}  // namespace stopgrad
