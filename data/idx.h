#pragma once
// IDX, the format of MNIST and Fashion-MNIST (yann.lecun.com/exdb/mnist): big-endian header, then bytes.
#include <string>

#include "data/dataset.h"

namespace stopgrad {

/// Grey images [count, height, width] and, unless `labels_path` is empty, their labels [count]; plain or
/// gzip, told apart by content. A file that is not exactly what its header says (magic, rank, length, counts
/// that differ, checksum of the gzip) throws Error(Exit::data) naming the file and the offset in its unpacked
/// bytes.
Dataset read_idx(const std::string& images_path, const std::string& labels_path);

}  // namespace stopgrad
