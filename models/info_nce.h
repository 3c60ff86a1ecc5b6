#pragma once
// The contrastive loss of SimCLR and MoCo: each query is to know its own key among many.
#include "engine/ops.h"

namespace stopgrad {

/// loss = mean over queries q_i of -log( exp(q_i . k_own / T) / sum over candidates j of exp(q_i . k_j / T) )
class InfoNce {
 public:
  /// A query's own key, and keys [begin, end) that it is not compared with; its own one is.
  struct Candidates {
    int own, begin, end;
  };
  /// The candidates of query `row` of `rows`.
  using Choice = Candidates (*)(int row, int rows);

  InfoNce(double temperature, Choice choice) : temperature_(temperature), choice_(choice) {}

  /// queries [R, d], keys [at least R, d], rows of unit length.
  Var loss(const Var& queries, const Var& keys);

 private:
  double temperature_;
  Choice choice_;
  Tensor own_, left_out_;  // of the last number of rows: the next step finds them where they are
};

}  // namespace stopgrad
