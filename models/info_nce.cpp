#include "models/info_nce.h"

namespace stopgrad {

Var InfoNce::loss(const Var& queries, const Var& keys) {
  const int rows = queries.value.rows();
  if (!own_.defined() || own_.count() != rows) {
    std::vector<int32_t> own, left_out;
    for (int row = 0; row < rows; ++row) {
      const Candidates c = choice_(row, rows);
      own.push_back(c.own);
      left_out.insert(left_out.end(), {c.begin, c.end});
    }
    own_ = Tensor::of(queries.value.pool(), {rows}, own);
    left_out_ = Tensor::of(queries.value.pool(), {rows, 2}, left_out);
  }
  const Var similarity = matmul_transposed(queries, keys);
  const Var logits = scale(similarity, 1 / temperature_);
  return cross_entropy(logits, own_, left_out_);
}

}  // namespace stopgrad
