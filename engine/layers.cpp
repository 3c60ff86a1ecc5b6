#include "engine/layers.h"

#include <cmath>

namespace stopgrad {

Conv::Conv(int in, int out, int kernel, int s, int p, ConvInit init) : stride(s), padding(p) {
  const double area = static_cast<double>(kernel) * kernel;
  weight.shape = {out, kernel, kernel, in};
  weight.layout = DiskLayout::conv;
  weight.init = init == ConvInit::fan_out ? Init{Init::normal, std::sqrt(2 / (area * out))}
                                          : Init{Init::uniform, 1 / std::sqrt(area * in)};
}

Var Conv::forward(Pass&, const Var& x) { return conv2d(x, weight, stride, padding); }

void Conv::visit(const std::string& prefix, Visitor& v) { v.parameter(prefix + "weight", weight); }

Linear::Linear(int in, int out, bool with_bias) : has_bias(with_bias) {
  weight.shape = {in, out};
  weight.layout = DiskLayout::linear;
  bias.shape = {out};
  weight.init = bias.init = {Init::uniform, 1 / std::sqrt(static_cast<double>(in))};
}

Var Linear::forward(Pass&, const Var& x) { return linear(x, weight, has_bias ? &bias : nullptr); }

void Linear::visit(const std::string& prefix, Visitor& v) {
  v.parameter(prefix + "weight", weight);
  if (has_bias) v.parameter(prefix + "bias", bias);
}

BatchNorm::BatchNorm(int channels, bool with_affine, double gamma_start) : affine(with_affine) {
  gamma.shape = beta.shape = running_mean.shape = running_var.shape = {channels};
  gamma.init = {Init::constant, gamma_start};
  running_var.start = 1;
}

BatchNormState BatchNorm::state() {
  BatchNormState s{.running_mean = &running_mean, .running_var = &running_var};
  if (affine) {
    s.gamma = &gamma;
    s.beta = &beta;
  }
  return s;
}

Var BatchNorm::forward(Pass& pass, const Var& x, bool with_relu, const Var* residual) {
  if (!pass.training) return batch_norm_inference(x, state(), with_relu, residual);
  if (pass.update_running) batches += pass.groups;
  return batch_norm(x, state(), pass.groups, pass.update_running, with_relu, residual);
}

void BatchNorm::visit(const std::string& prefix, Visitor& v) {
  if (affine) {
    v.parameter(prefix + "weight", gamma);
    v.parameter(prefix + "bias", beta);
  }
  v.buffer(prefix + "running_mean", running_mean);
  v.buffer(prefix + "running_var", running_var);
  v.counter(prefix + "num_batches_tracked", batches);
}

}  // namespace stopgrad
