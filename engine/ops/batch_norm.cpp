#include "kernels/batch_norm.h"

#include "engine/ops.h"

namespace stopgrad {

namespace {

template <class T>
const Acc<T>* values_of(const Parameter* p) {
  return p ? p->value.data<Acc<T>>() : nullptr;
}

/// Inputs: x, then gamma and beta if there are any, then the residual if there is one.
struct BatchNormNode : Node {
  Tensor x, y, mean, rstd;
  const Parameter *gamma, *beta;
  int groups;
  bool relu, has_residual;
  const char* name() const override { return "batch_norm"; }
  std::string detail() const override {
    return fmt::format("{}{}{}", groups > 1 ? fmt::format("groups {}", groups) : "",
                       has_residual ? " +residual" : "", relu ? " relu" : "");
  }

  void backward(const Tensor& dy, Grads& grads) override {
    visit_float(dy.dtype(), [&](auto zero) {
      using T = decltype(zero);
      const int residual_input = gamma ? 3 : 1;
      const auto dx = grads.slot<T>(0);
      const auto dgamma = gamma ? grads.slot<Acc<T>>(1) : Slot<Acc<T>>{};
      const auto dbeta = beta ? grads.slot<Acc<T>>(2) : Slot<Acc<T>>{};
      const auto dresidual = has_residual ? grads.slot<T>(residual_input) : Slot<T>{};
      launch(dy.device(), BatchNormBackward<T>{.groups = groups,
                                               .rows = x.rows() / groups,
                                               .channels = x.channels(),
                                               .dy = dy.data<T>(),
                                               .x = x.data<T>(),
                                               .y = y.data<T>(),
                                               .gamma = values_of<T>(gamma),
                                               .beta = values_of<T>(beta),
                                               .mean = mean.data<Acc<T>>(),
                                               .rstd = rstd.data<Acc<T>>(),
                                               .relu = relu,
                                               .has_residual = has_residual,
                                               .dx = dx.data,
                                               .accumulate_dx = dx.accumulate,
                                               .dgamma = dgamma.data,
                                               .accumulate_dgamma = dgamma.accumulate,
                                               .dbeta = dbeta.data,
                                               .accumulate_dbeta = dbeta.accumulate,
                                               .dresidual = dresidual.data,
                                               .accumulate_dresidual = dresidual.accumulate});
    });
  }
};

void check(const Var& x, const BatchNormState& s, const Var* residual) {
  ENSURE((s.gamma == nullptr) == (s.beta == nullptr), "batch_norm: gamma and beta come together");
  ENSURE(!s.gamma || s.gamma->shape == Shape{x.shape().channels()}, "batch_norm: x is {}, gamma of {} is {}",
         x.shape(), s.gamma->name, s.gamma->shape);
  ENSURE(!residual || residual->shape() == x.shape(), "batch_norm: x is {}, residual is {}", x.shape(),
         residual->shape());
}

}  // namespace

Var batch_norm(const Var& x, const BatchNormState& s, int groups, bool update_running, bool with_relu,
               const Var* residual) {
  check(x, s, residual);
  const int channels = x.value.channels();
  ENSURE(groups > 0 && x.value.rows() % groups == 0, "batch_norm: {} rows do not fall into {} groups",
         x.value.rows(), groups);
  ENSURE(x.value.rows() / groups >= 2,
         "batch_norm: {} row per group has no variance; use a batch of at least 2", x.value.rows() / groups);
  Tape& tape = *x.tape;
  const Tensor y = like(x.value);
  const Tensor mean(x.value.pool(), {groups, channels}, acc_of(x.dtype()));
  const Tensor rstd = like(mean);
  std::vector<Var> inputs = {x};
  if (s.gamma) {
    inputs.push_back(tape.leaf(*s.gamma));
    inputs.push_back(tape.leaf(*s.beta));
  }
  if (residual) inputs.push_back(*residual);
  visit_float(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    launch(y.device(), BatchNormForward<T>{
                           .groups = groups,
                           .rows = x.value.rows() / groups,
                           .channels = channels,
                           .eps = static_cast<Acc<T>>(s.eps),
                           .momentum = static_cast<Acc<T>>(s.momentum),
                           .x = x.value.data<T>(),
                           .gamma = values_of<T>(s.gamma),
                           .beta = values_of<T>(s.beta),
                           .residual = residual ? residual->value.data<T>() : nullptr,
                           .relu = with_relu,
                           .y = y.data<T>(),
                           .mean = mean.data<Acc<T>>(),
                           .rstd = rstd.data<Acc<T>>(),
                           .running_mean = update_running ? s.running_mean->value.data<Acc<T>>() : nullptr,
                           .running_var = update_running ? s.running_var->value.data<Acc<T>>() : nullptr});
  });
  auto node = std::make_unique<BatchNormNode>();
  node->x = x.value;
  if (with_relu && residual) node->y = y;
  node->mean = mean;
  node->rstd = rstd;
  node->gamma = s.gamma;
  node->beta = s.beta;
  node->groups = groups;
  node->relu = with_relu;
  node->has_residual = residual != nullptr;
  return tape.record(y, std::move(node), inputs);
}

Var batch_norm_inference(const Var& x, const BatchNormState& s, bool with_relu, const Var* residual) {
  check(x, s, residual);
  ENSURE(!x.tape->recording(),
         "batch_norm: the evaluation form has no backward; run it on a tape that is off");
  const Tensor y = like(x.value);
  visit_float(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    launch(y.device(), BatchNormInference<T>{x.value.rows(), x.value.channels(), static_cast<Acc<T>>(s.eps),
                                             x.value.data<T>(), values_of<T>(s.gamma), values_of<T>(s.beta),
                                             residual ? residual->value.data<T>() : nullptr, with_relu,
                                             s.running_mean->value.data<Acc<T>>(),
                                             s.running_var->value.data<Acc<T>>(), y.data<T>()});
  });
  return {y, x.tape, -1};
}

}  // namespace stopgrad
