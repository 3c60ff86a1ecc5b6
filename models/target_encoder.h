#pragma once
// The second encoder of BYOL and MoCo: no gradient trains it, it is a moving average of the first.
#include "models/encoder.h"
#include "models/views.h"

namespace stopgrad {

/// Its parameters are named "target.*"; evaluation and export take the first encoder.
class TargetEncoder {
 public:
  explicit TargetEncoder(const EncoderConfig& config);

  /// views [V, N, H, W, C] -> z [N, d] per view, each behind the wall.
  std::vector<Var> project(Tape& tape, const Tensor& views, ViewForm form);
  /// target = momentum * target + (1 - momentum) * source, parameters only: running statistics are the
  /// target's own.
  void follow(Encoder& source, double momentum);
  void visit(Visitor& v) { encoder_.visit("target.", v); }

 private:
  Encoder encoder_;
};

}  // namespace stopgrad
