#pragma once
// A batch norm with its data, run on the device.
#include "tests/batch_norm_layer.h"
#include "tests/cuda/mirror.h"

namespace stopgrad::test::norm {

/// Forward, then backward, with outputs that were NaN, or, accumulating, with gradients that are added to.
template <class T>
void on_device(Layer<T>& layer, bool accumulate = false, cuda::Context& context = device()) {
  if (!accumulate) {
    fill_nan(layer.y);
    fill_nan(layer.dx);
    fill_nan(layer.dresidual);
    fill_nan(layer.dgamma);
    fill_nan(layer.dbeta);
  }
  fill_nan(layer.mean);
  fill_nan(layer.rstd);
  Mirror mirror;
  mirror.add(layer.x, layer.residual, layer.dy, layer.y, layer.dx, layer.dresidual, layer.gamma, layer.beta,
             layer.mean, layer.rstd, layer.running_mean, layer.running_var, layer.dgamma, layer.dbeta);
  auto f = layer.forward_call();
  mirror.move(f.x, f.gamma, f.beta, f.residual, f.y, f.mean, f.rstd, f.running_mean, f.running_var);
  run(f, context);
  auto b = layer.backward_call();
  b.accumulate_dx = b.accumulate_dgamma = b.accumulate_dbeta = b.accumulate_dresidual = accumulate;
  mirror.move(b.dy, b.x, b.y, b.gamma, b.beta, b.mean, b.rstd, b.dx, b.dgamma, b.dbeta, b.dresidual);
  run(b, context);
  mirror.fetch();
}

/// All that forward and backward write.
template <class T>
void check_same(const Layer<T>& a, const Layer<T>& b) {
  CHECK(same_bits(a.mean, b.mean));
  CHECK(same_bits(a.rstd, b.rstd));
  CHECK(same_bits(a.running_mean, b.running_mean));
  CHECK(same_bits(a.running_var, b.running_var));
  CHECK(same_bits(a.y, b.y));
  CHECK(same_bits(a.dx, b.dx));
  CHECK(same_bits(a.dresidual, b.dresidual));
  CHECK(same_bits(a.dgamma, b.dgamma));
  CHECK(same_bits(a.dbeta, b.dbeta));
}

}  // namespace stopgrad::test::norm
