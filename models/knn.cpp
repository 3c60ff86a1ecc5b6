#include "models/knn.h"

#include <algorithm>
#include <cmath>

#include "kernels/gemm.h"
#include "kernels/normalize.h"
#include "kernels/topk.h"
#include "models/diagnostics.h"

namespace stopgrad {

namespace {

constexpr int kQueryBlock = 512, kBankBlock = 8192;  // similarities of one block stay in the cache

Tensor unit_rows(const Tensor& x) {
  const Tensor y = like(x), inv_norm(x.pool(), {x.shape()[0]}, DType::f32);
  launch(x.device(), NormalizeForward<float>{x.rows(), x.channels(), x.data<float>(), y.data<float>(),
                                             inv_norm.data<float>()});
  return y;
}

}  // namespace

Neighbours nearest_neighbours(const Tensor& bank, const Tensor& queries, int k) {
  ENSURE(bank.shape().rank() == 2 && queries.shape().rank() == 2 && bank.channels() == queries.channels(),
         "knn: bank is {}, queries are {}", bank.shape(), queries.shape());
  ENSURE(bank.rows() > 0, "knn: the bank is empty");
  for (const Tensor& x : {bank, queries})
    if (const int64_t odd = not_finite(x); odd > 0)
      fail(
          Exit::diverged,
          "knn: {} of {} features are not finite, so nothing is near them; the network has diverged, take an "
          "older checkpoint",
          odd, x.count());
  const Tensor b = unit_rows(bank), q = unit_rows(queries);
  Neighbours out;
  out.k = std::min(k, bank.rows());
  out.similarity.resize(static_cast<size_t>(q.rows()) * static_cast<size_t>(out.k));
  out.index.resize(out.similarity.size());
  const Tensor similarity(q.pool(), {kQueryBlock, kBankBlock}, DType::f32);
  const Tensor best(q.pool(), {q.shape()[0], out.k}, DType::f32),
      best_index(q.pool(), {q.shape()[0], out.k}, DType::i64);
  for (int query = 0; query < q.rows(); query += kQueryBlock) {
    const int m = std::min(kQueryBlock, q.rows() - query);
    for (int first = 0; first < b.rows(); first += kBankBlock) {
      const int n = std::min(kBankBlock, b.rows() - first);
      launch(q.device(),
             Gemm<float, float>{m, n, q.channels(), false, true, q.part(query, query + m).data<float>(),
                                b.part(first, first + n).data<float>(), similarity.data<float>(), false,
                                nullptr});
      launch(q.device(),
             TopK{m, n, out.k, first, similarity.data<float>(), best.part(query, query + m).data<float>(),
                  best_index.part(query, query + m).data<int64_t>(), first == 0});
    }
  }
  best.to_host(out.similarity.data());
  best_index.to_host(out.index.data());
  return out;
}

std::vector<int32_t> knn_predict(const Tensor& bank, const std::vector<int32_t>& bank_labels,
                                 const Tensor& queries, int k, double temperature) {
  ENSURE(static_cast<int64_t>(bank_labels.size()) == bank.shape()[0], "knn: {} labels for a bank of {}",
         bank_labels.size(), bank.shape()[0]);
  const Neighbours near = nearest_neighbours(bank, queries, k);
  const int32_t classes = *std::max_element(bank_labels.begin(), bank_labels.end()) + 1;
  std::vector<int32_t> out(static_cast<size_t>(queries.rows()));
  std::vector<double> votes(static_cast<size_t>(classes));
  for (size_t i = 0; i < out.size(); ++i) {
    std::fill(votes.begin(), votes.end(), 0);
    const size_t first = i * static_cast<size_t>(near.k), end = first + static_cast<size_t>(near.k);
    for (size_t j = first; j < end; ++j)  // relative to the nearest's vote: no power overflows
      votes[static_cast<size_t>(bank_labels[static_cast<size_t>(near.index[j])])] +=
          std::exp((near.similarity[j] - near.similarity[first]) / temperature);
    out[i] = static_cast<int32_t>(std::max_element(votes.begin(), votes.end()) - votes.begin());
  }
  return out;
}

double knn_accuracy(const Tensor& bank, const std::vector<int32_t>& bank_labels, const Tensor& queries,
                    const std::vector<int32_t>& query_labels, int k, double temperature) {
  const std::vector<int32_t> predicted = knn_predict(bank, bank_labels, queries, k, temperature);
  ENSURE(predicted.size() == query_labels.size(), "knn: {} labels for {} queries", query_labels.size(),
         predicted.size());
  size_t right = 0;
  for (size_t i = 0; i < predicted.size(); ++i) right += predicted[i] == query_labels[i];
  return 100.0 * static_cast<double>(right) / static_cast<double>(predicted.size());
}

}  // namespace stopgrad
