#include "bench/kernels/registry.h"

namespace stopgrad::bench {

Registry::Registry()
    : matrices(test::matrix_cases()),
      convolutions(test::conv_cases()),
      gemms(test::gemm_cases()),
      flat(test::flat_cases()),
      augmentations(test::augment_cases()) {
  add_batch_norm(*this);
  add_cosine_loss(*this);
  add_augment(*this);
  add_sgd(*this);
}

}  // namespace stopgrad::bench
