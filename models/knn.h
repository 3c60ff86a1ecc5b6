#pragma once
// Weighted k-nearest-neighbour classification (Wu et al. 2018): the label with the largest sum of exp(cosine
// / T) over the k nearest of a bank.
#include <cstdint>
#include <vector>

#include "engine/tensor.h"

namespace stopgrad {

struct Neighbours {
  int k = 0;
  std::vector<float> similarity;  // [queries, k], descending; ties by lower index
  std::vector<int64_t> index;     // [queries, k]
};

/// The k rows of `bank` [n, d] with the largest cosine to each row of `queries` [m, d]; float32, any lengths.
/// Features that are not finite have no neighbours: Error(Exit::diverged).
Neighbours nearest_neighbours(const Tensor& bank, const Tensor& queries, int k);

/// Predicted label of every query. k is clamped to the size of the bank.
std::vector<int32_t> knn_predict(const Tensor& bank, const std::vector<int32_t>& bank_labels,
                                 const Tensor& queries, int k, double temperature);

/// Share of queries whose predicted label is right, in percent.
double knn_accuracy(const Tensor& bank, const std::vector<int32_t>& bank_labels, const Tensor& queries,
                    const std::vector<int32_t>& query_labels, int k, double temperature);

}  // namespace stopgrad
