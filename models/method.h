#pragma once
// A method turns views into a loss. It knows neither loader nor optimizer.
#include <memory>
#include <string>
#include <vector>

#include "engine/layers.h"

namespace stopgrad {

/// How several views go through one network: one after the other, or together as groups of one batch. The
/// mathematics is the same; statistics of batch norm are per view in both.
enum class ViewForm { branch, batched };

struct MethodOutput {
  Var loss;
  std::vector<Tensor> z;  // [N, d] per view: what collapses or does not
  std::vector<Tensor> p;  // [N, d] per view: predictions
};

class Method {
 public:
  virtual ~Method() = default;

  /// views [V, N, H, W, C] -> the loss, recorded on the tape.
  virtual MethodOutput loss(Tape& tape, const Tensor& views) = 0;
  /// x [N, H, W, C] -> backbone features [N, feature_size()], in evaluation mode.
  virtual Tensor features(const Tensor& x) = 0;
  /// Called by the host after each update by the optimizer. SimSiam has nothing to do here; a method with a
  /// moving average or a queue (BYOL, MoCo) would update it. On CUDA loss() is recorded once and replayed, so
  /// the arguments of its kernels stay; after_step() runs anew each time, so that its arguments may change.
  virtual void after_step(int64_t /*step*/) {}
  /// Everything that is saved and trained; names as in the released code ("encoder.conv1.weight").
  virtual void visit(Visitor& v) = 0;
  /// The backbone alone, with torchvision's names.
  virtual void visit_backbone(Visitor& v) = 0;
  virtual int feature_size() const = 0;
  virtual int views() const = 0;
};

}  // namespace stopgrad
