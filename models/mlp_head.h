#pragma once
// Projection and prediction heads: fc - batch norm - ReLU, ..., fc (- batch norm).
#include <memory>
#include <string>
#include <vector>

#include "engine/layers.h"

namespace stopgrad {

/// What is true or false is a column of the paper's Table 3.
struct MlpConfig {
  std::vector<int> widths;  // in, hidden ..., out
  bool hidden_norm = true;
  bool output_norm = false;
  bool output_affine = true;  // of the output's batch norm
  double output_scale = 0;    // of that norm, kept while its shift is trained; 0: trained from 1
};

/// Layers before a batch norm have no bias: the norm would cancel it. Numbered as in the released code, a
/// layer's fc, norm and ReLU taking three places: "0.weight", "1.weight", "3.weight", ...
class MlpHead {
 public:
  explicit MlpHead(const MlpConfig& config);
  MlpHead(const MlpHead&) = delete;

  /// x[N, in] -> [N, out]
  Var forward(Pass& pass, const Var& x);
  void visit(const std::string& prefix, Visitor& v);
  int out() const { return config_.widths.back(); }

 private:
  MlpConfig config_;
  std::vector<std::unique_ptr<Linear>> linears_;
  std::vector<std::unique_ptr<BatchNorm>> norms_;  // null where there is none
};

}  // namespace stopgrad
