#pragma once
// The modules that all networks are made of.
#include "engine/ops.h"

namespace stopgrad {

/// How a forward runs. `groups` is the number of views that lie one after the other in the batch: batch norm
/// keeps their statistics apart.
struct Pass {
  Tape& tape;
  bool training = true;
  int groups = 1;
  bool update_running = true;
};

/// Start values of convolutions (the paper takes PyTorch's defaults, which torchvision's ResNet
/// overrides).
enum class ConvInit {
  fan_out,  // normal, std sqrt(2 / (k k out)): He et al. 2015, as torchvision
  fan_in,   // uniform, bound 1/sqrt(k k in): PyTorch's default for layers
};

struct Conv {
  Parameter weight;
  int stride, padding;
  Conv(int in, int out, int kernel, int stride, int padding, ConvInit init = ConvInit::fan_out);
  Var forward(Pass& pass, const Var& x);
  void visit(const std::string& prefix, Visitor& v);
};

/// Weights and bias start uniform in +-1/sqrt(in).
struct Linear {
  Parameter weight, bias;
  bool has_bias;
  Linear(int in, int out, bool with_bias);
  Var forward(Pass& pass, const Var& x);
  void visit(const std::string& prefix, Visitor& v);
};

/// gamma starts at `gamma_start` (0 in the last batch norm of a residual block), beta at 0.
struct BatchNorm {
  Parameter gamma, beta;
  Buffer running_mean, running_var;
  int64_t batches = 0;
  bool affine;
  explicit BatchNorm(int channels, bool affine = true, double gamma_start = 1);
  Var forward(Pass& pass, const Var& x, bool with_relu = false, const Var* residual = nullptr);
  void visit(const std::string& prefix, Visitor& v);

 private:
  BatchNormState state();
};

}  // namespace stopgrad
