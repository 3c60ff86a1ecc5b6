#pragma once
// A method turns views into a loss. It knows neither loader nor optimizer.
#include <memory>
#include <string>
#include <vector>

#include "models/views.h"

namespace stopgrad {

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
  /// Called once the parameters have their start values: what starts as a copy of something else.
  virtual void after_initialize() {}
  /// Told the epoch of every step before it. True: from now on the step is another one, as parameters come to
  /// rest or move again, and a captured one is not to be replayed.
  virtual bool enter_epoch(int64_t /*epoch*/) { return false; }
  /// Launched by the host after each update, also after one that was replayed from a graph: moving averages
  /// of target networks, queues. `progress`: the share of training that is done, in [0, 1).
  virtual void after_step(double /*progress*/) {}
  /// Everything that is saved and trained; names as in the released code ("encoder.conv1.weight").
  virtual void visit(Visitor& v) = 0;
  /// The backbone alone, with torchvision's names.
  virtual void visit_backbone(Visitor& v) = 0;
  virtual int feature_size() const = 0;
  virtual int views() const = 0;
};

}  // namespace stopgrad
