#pragma once
// From what a recipe says to a data set.
#include <cstdint>
#include <functional>
#include <string>

#include "data/dataset.h"

namespace stopgrad {

struct OpenOptions {
  int image_size = 32;   // of folder and synthetic; the others have a size of their own
  int64_t limit = 0;     // images at most; 0: all
  uint64_t seed = 0;     // of synthetic
  int64_t max_bad = 10;  // of folder: unreadable images that are dropped before it is an error
  std::function<void(const std::string& message)> warn{};       // of folder; default: a line on stderr
  std::function<void(int64_t done, int64_t total)> progress{};  // of folder: images read
};

/// spec is one of
///   fashion_mnist[:DIR]   cifar10:DIR   cifar100:DIR
///   idx:IMAGES[,LABELS][;TEST_IMAGES[,TEST_LABELS]]
///   folder:DIR            DIR/train and DIR/val (or valid, validation, test), else every tenth image is the
///                         test split
///   DIR                   a folder that is there, as folder:DIR
///   synthetic[:COUNT]     COUNT (10000) images to train on, a fifth of it to test on
/// An unknown kind or a malformed spec throws Error(Exit::config); missing or damaged data Error(Exit::data);
/// more than there is memory for Error(Exit::memory).
Dataset open_dataset(const std::string& spec, Split split, const OpenOptions& options = {});

/// False for idx without its second part: open_dataset has no test split of it.
bool has_test_split(const std::string& spec);

}  // namespace stopgrad
