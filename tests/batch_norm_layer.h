#pragma once
// A batch norm with its data, for the tests of forward and backward.
#include "kernels/batch_norm.h"
#include "tests/cases.h"
#include "tests/compare.h"
#include "tests/tolerances.h"

namespace stopgrad::test::norm {

enum class Affine { no, yes };
enum class Residual { no, yes };
enum class Relu { no, yes };

/// One batch norm with its data, outputs and gradients; absent vectors are empty.
template <class T>
struct Layer {
  using A = Acc<T>;
  int groups, rows, channels;
  bool relu;
  A eps = A(1e-5), momentum = A(0.1);
  std::vector<T> x, residual, dy, y, dx, dresidual;
  std::vector<A> gamma, beta, mean, rstd, running_mean, running_var, dgamma, dbeta;

  Layer(int groups, int rows, int channels, Affine affine = Affine::yes, Relu relu = Relu::no,
        Residual with_residual = Residual::no)
      : groups(groups), rows(rows), channels(channels), relu(relu == Relu::yes) {
    const size_t count = static_cast<size_t>(groups) * rows * channels, width = channels;
    x = random<T>(count, 1);
    dy = random<T>(count, 2);
    y.resize(count);
    dx.resize(count);
    mean.resize(groups * width);
    rstd.resize(groups * width);
    running_mean.assign(width, A(0));
    running_var.assign(width, A(1));
    dgamma.resize(width);
    dbeta.resize(width);
    if (affine == Affine::yes) {
      gamma = random<A>(width, 3, 0.5, 1.5);
      beta = random<A>(width, 4, -0.5, 0.5);
    }
    if (with_residual == Residual::yes) {
      residual = random<T>(count, 5);
      dresidual.resize(count);
    }
  }

  template <class V>
  static auto pointer(V& v) {
    return v.empty() ? nullptr : v.data();
  }
  BatchNormForward<T> forward_call() {
    return {groups,
            rows,
            channels,
            eps,
            momentum,
            x.data(),
            pointer(gamma),
            pointer(beta),
            pointer(residual),
            relu,
            y.data(),
            mean.data(),
            rstd.data(),
            running_mean.data(),
            running_var.data()};
  }
  BatchNormBackward<T> backward_call() {
    return {.groups = groups,
            .rows = rows,
            .channels = channels,
            .dy = dy.data(),
            .x = x.data(),
            .y = relu && !residual.empty() ? y.data() : nullptr,
            .gamma = pointer(gamma),
            .beta = pointer(beta),
            .mean = mean.data(),
            .rstd = rstd.data(),
            .relu = relu,
            .has_residual = !residual.empty(),
            .dx = dx.data(),
            .accumulate_dx = false,
            .dgamma = dgamma.data(),
            .accumulate_dgamma = false,
            .dbeta = dbeta.data(),
            .accumulate_dbeta = false,
            .dresidual = pointer(dresidual),
            .accumulate_dresidual = false};
  }
  void forward(cpu::Context& context) { cpu::run(forward_call(), context); }
  void backward(cpu::Context& context) { cpu::run(backward_call(), context); }

  reference::BatchNorm reference() const {
    return {groups, rows, channels, eps, doubles(x), doubles(gamma), doubles(beta), doubles(residual), relu};
  }
};

/// Outputs of forward and backward against the reference.
template <class T>
void check_outputs(const Layer<T>& layer) {
  const reference::BatchNorm want = layer.reference();
  const auto gradients = want.backward(doubles(layer.dy), doubles(layer.y));
  const BatchNormTolerances<T> tolerances(want, doubles(layer.dy));
  const auto check = [](const char* what, const auto& got, const std::vector<double>& wanted,
                        auto tolerance) {
    INFO(what);
    check_close(got, wanted, tolerance);
  };
  check("mean", layer.mean, want.mean(), tolerances.mean);
  check("rstd", layer.rstd, want.rstd(), tolerances.rstd);
  check("y", layer.y, want.forward(), tolerances.y);
  check("dx", layer.dx, gradients.dx, tolerances.dx);
  check("dgamma", layer.dgamma, gradients.dgamma, tolerances.dgamma);
  check("dbeta", layer.dbeta, gradients.dbeta, tolerances.dbeta);
  if (!layer.residual.empty()) CHECK(doubles(layer.dresidual) == gradients.dresidual);
}

template <class T>
void check_against_reference(Layer<T>& layer, cpu::Context& context) {
  layer.forward(context);
  layer.backward(context);
  check_outputs(layer);
}

/// f(layer) for every small shape with one and two groups, with and without scale, ReLU and residual.
template <class T, class F>
void for_each_layer(F f) {
  for (const MatrixCase& shape : matrix_cases()) {
    if (shape.real) continue;
    for (const int groups : {1, 2})
      for (const Affine affine : {Affine::no, Affine::yes})
        for (const Relu relu : {Relu::no, Relu::yes})
          for (const Residual residual : {Residual::no, Residual::yes}) {
            INFO(shape.name << ", groups " << groups << ", affine " << int(affine) << ", relu " << int(relu)
                            << ", residual " << int(residual));
            Layer<T> layer(groups, shape.rows, shape.channels, affine, relu, residual);
            f(layer);
          }
  }
}

}  // namespace stopgrad::test::norm
