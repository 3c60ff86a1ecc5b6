#pragma once
// SimCLR (Chen et al. 2020, arXiv 2002.05709): the other images of the batch are negatives. With a predictor,
// and with the wall too, it is what SimSiam's section 6.2 compares itself with.
#include "models/info_nce.h"
#include "models/simsiam.h"

namespace stopgrad {

/// NT-Xent over the 2N rows of both views, as a mean: the released code's sum over its two halves is twice
/// it. Queries are the predictions p, keys the projections z; without a predictor both are z. All rows but
/// the query's own are candidates, the other view of its image is the right one. The published method has no
/// predictor and no wall.
class Simclr : public SimSiam {
 public:
  Simclr(const SimSiamConfig& config, double temperature);

  /// Row i of 2N belongs to row i + N or i - N and is not compared with itself.
  static InfoNce::Candidates candidates(int row, int rows);

 protected:
  Var compare(const std::vector<View>& online, const std::vector<Var>& target) override;

 private:
  InfoNce info_nce_;
};

}  // namespace stopgrad
