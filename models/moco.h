#pragma once
// MoCo v2 (Chen et al. 2020, arXiv 2003.04297): negatives are the keys of earlier batches, from a queue.
#include "models/info_nce.h"
#include "models/simsiam.h"
#include "models/target_encoder.h"

namespace stopgrad {

struct MocoConfig {
  double temperature = 0.2;
  double momentum = 0.999;  // of the moving average that makes the keys
  int queue = 65536;        // keys in it; a multiple of a step's new keys
};

/// Queries are views through the encoder, keys are other views through its moving average, behind the wall. A
/// query is compared with its own key and with the queue, and the new keys replace the oldest after the step.
/// The symmetric loss is the mean of both directions and puts the keys of both views in the queue; the
/// published one is asymmetric: view 1 asks, view 2 is the key.
///
/// Not here: shuffling batch norm. A query and its key are normalised among the same images, through which
/// the loss can be lowered without learning; in the authors' CIFAR-10 notebook that costs 4 points of kNN.
class Moco : public SimSiam {
 public:
  Moco(const SimSiamConfig& config, const MocoConfig& moco);

  void after_initialize() override;
  void after_step(double progress) override;
  void visit(Visitor& v) override;

  /// Row i belongs to key i of the step's own, and is not compared with the others of them.
  static InfoNce::Candidates candidates(int row, int rows) { return {row, 0, rows}; }

 protected:
  std::vector<Var> targets(Tape& tape, const Tensor& views, const std::vector<View>& online) override;
  Var compare(const std::vector<View>& online, const std::vector<Var>& target) override;

 private:
  double momentum_;
  TargetEncoder target_;
  InfoNce info_nce_;
  Parameter queue_;   // [K, d], rows of unit length, not trained
  int64_t next_ = 0;  // the row of the oldest key
  Tensor keys_;       // [R, d]: of the step, kept until after_step
};

}  // namespace stopgrad
