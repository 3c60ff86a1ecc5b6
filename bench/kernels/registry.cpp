#include "bench/kernels/registry.h"

namespace stopgrad::bench {
namespace {

template <class C>
std::vector<C> joined(std::vector<C> a, const std::vector<C>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

}  // namespace

Registry::Registry()
    : matrices(joined(test::matrix_cases(), test::resnet50_matrix_cases())),
      convolutions(joined(test::conv_cases(), test::resnet50_conv_cases())),
      gemms(test::gemm_cases()),
      flat(test::flat_cases()),
      augmentations(test::augment_cases()),
      pools(joined(test::pool_cases(), {test::kResnetStem})),
      average_pools(test::average_pool_cases()),
      topk(test::topk_cases()) {
  for (const test::MatrixCase& c : matrices)
    if (c.rows <= 4096) heads.push_back(c);
  add_batch_norm(*this);
  add_cosine_loss(*this);
  add_augment(*this);
  add_sgd(*this);
  add_conv2d(*this);
  add_gemm(*this);
  add_pool(*this);
  add_elementwise(*this);
  add_normalize(*this);
  add_softmax_loss(*this);
  add_topk(*this);
  add_reduce(*this);
}

}  // namespace stopgrad::bench
