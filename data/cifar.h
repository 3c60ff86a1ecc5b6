#pragma once
// The binary versions of CIFAR-10 and CIFAR-100 (A. Krizhevsky, Learning Multiple Layers of Features from
// Tiny Images, 2009): records of the label bytes, then a red, a green and a blue plane of 32 x 32.
#include <string>

#include "data/dataset.h"

namespace stopgrad {

/// data_batch_1.bin .. data_batch_5.bin or test_batch.bin of `folder`, or of the folder cifar-10-batches-bin
/// in it. The number of records comes from the size of the file. Class names from batches.meta.txt where it
/// exists. A missing file, a broken record, a label out of range: Error(Exit::data) with file and offset.
Dataset read_cifar10(const std::string& folder, Split split);

/// train.bin or test.bin of `folder`, or of the folder cifar-100-binary in it, with the 100 fine labels;
/// their names from fine_label_names.txt where it exists. Errors as above.
Dataset read_cifar100(const std::string& folder, Split split);

}  // namespace stopgrad
