#include "kernels/batch_norm.h"

#include <limits>

#include "kernels/check.h"
#include "tests/cases.h"
#include "tests/compare.h"
#include "tests/reference/batch_norm.h"

using namespace stopgrad;
using namespace stopgrad::test;

namespace {

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

template <class V>
double largest(const V& values, double if_empty = 0) {
  double worst = values.empty() ? if_empty : 0;
  for (const auto v : values) worst = std::max(worst, std::abs(to_double(v)));
  return worst;
}

/// Forward and backward against the reference. The tolerances' scales are what rounding errors are relative
/// to: an error of the mean is relative to |x|, and 1 / std makes it an error of xhat.
template <class T>
void check_against_reference(Layer<T>& layer, cpu::Context& context) {
  using A = Acc<T>;
  layer.forward(context);
  layer.backward(context);
  const reference::BatchNorm want = layer.reference();
  const auto gradients = want.backward(doubles(layer.dy), doubles(layer.y));
  const double n = layer.rows, rstd = largest(want.rstd()), gamma = largest(layer.gamma, 1);
  const double spread = largest(layer.x) * rstd, xhat = largest(want.normalized()), dy = largest(layer.dy);
  const auto check = [](const char* what, const auto& got, const std::vector<double>& wanted,
                        auto tolerance) {
    INFO(what);
    check_close(got, wanted, tolerance);
  };
  check("mean", layer.mean, want.mean(), Tolerance<A>{n, largest(layer.x)});
  check("rstd", layer.rstd, want.rstd(), Tolerance<A>{n, rstd});
  check("y", layer.y, want.forward(),
        Tolerance<T>{n, gamma * spread + largest(layer.beta) + largest(layer.residual)});
  check("dx", layer.dx, gradients.dx, Tolerance<T>{n, gamma * rstd * dy * (1 + xhat * spread)});
  check("dgamma", layer.dgamma, gradients.dgamma, Tolerance<A>{n * layer.groups, dy * spread});
  check("dbeta", layer.dbeta, gradients.dbeta, Tolerance<A>{n * layer.groups, dy});
  if (!layer.residual.empty()) CHECK(doubles(layer.dresidual) == gradients.dresidual);
}

}  // namespace

TEMPLATE_TEST_CASE("batch norm of a 4x2 table agrees with the one worked by hand", "[batch_norm]", float,
                   bf16, double) {
  using A = Acc<TestType>;
  const auto table = [](std::vector<double> values) {
    std::vector<TestType> out;
    for (const double v : values) out.push_back(from_double<TestType>(v));
    return out;
  };
  // Means 1 and 10, variances 1 and 13: with eps = 3 the standard deviations are 2 and 4.
  Layer<TestType> layer(1, 4, 2, Affine::yes, Relu::yes);
  layer.eps = 3;
  layer.momentum = A(0.25);
  layer.x = table({0, 15, 0, 5, 2, 11, 2, 9});
  layer.gamma = {2, -4};
  layer.beta = {A(0.5), A(0.5)};
  layer.dy = table({1, 2, 3, 4, 5, 6, 7, 8});
  cpu::Context context(1);
  layer.forward(context);
  CHECK(layer.mean == std::vector<A>{1, 10});
  CHECK(layer.rstd == std::vector<A>{A(0.5), A(0.25)});
  CHECK(doubles(layer.y) == std::vector<double>{0, 0, 0, 5.5, 1.5, 0, 1.5, 1.5});
  CHECK(layer.running_mean == std::vector<A>{A(0.25), A(2.5)});
  CHECK(layer.running_var[0] == Approx(0.75 + 0.25 * 4 / 3));
  CHECK(layer.running_var[1] == Approx(0.75 + 0.25 * 52 / 3));

  // Behind the mask dy is (0,0,5,7) and (0,4,0,8): means 3 and 3, means with xhat 1.5 and -1.75.
  layer.backward(context);
  CHECK(layer.dgamma == std::vector<A>{6, -7});
  CHECK(layer.dbeta == std::vector<A>{12, 12});
  CHECK(doubles(layer.dx) == std::vector<double>{-2.25, 0.8125, -2.25, 1.1875, 1.25, 2.5625, 3.25, -4.5625});
}

TEMPLATE_TEST_CASE("batch norm agrees with the naive reference", "[batch_norm]", float, bf16, double) {
  cpu::Context context;
  for (const MatrixCase& shape : matrix_cases()) {
    if (shape.real) continue;
    for (const int groups : {1, 2})
      for (const Affine affine : {Affine::no, Affine::yes})
        for (const Relu relu : {Relu::no, Relu::yes})
          for (const Residual residual : {Residual::no, Residual::yes}) {
            INFO(shape.name << ", groups " << groups << ", affine " << int(affine) << ", relu " << int(relu)
                            << ", residual " << int(residual));
            Layer<TestType> layer(groups, shape.rows, shape.channels, affine, relu, residual);
            check_against_reference(layer, context);
          }
  }
}

TEST_CASE("batch norm agrees with the naive reference on real layers", "[batch_norm]") {
  cpu::Context context;
  for (const MatrixCase& shape : matrix_cases()) {
    if (!shape.real) continue;
    INFO(shape.name);
    Layer<float> layer(1, shape.rows, shape.channels, Affine::yes, Relu::yes);
    check_against_reference(layer, context);
  }
}

TEMPLATE_TEST_CASE("a mean ten thousand times the deviation costs no digit of the variance", "[batch_norm]",
                   float, double) {
  cpu::Context context;
  for (const int channels : {1, 16, 70}) {
    INFO(channels << " channels");
    Layer<TestType> layer(1, 3000, channels);
    layer.x = random<TestType>(layer.x.size(), 6, 1e4 - std::sqrt(3.0), 1e4 + std::sqrt(3.0));
    check_against_reference(layer, context);
  }
}

TEST_CASE("a first row far from all others costs no digit of the variance either", "[batch_norm]") {
  cpu::Context context;
  Layer<float> layer(1, 40000, 16);
  layer.x = random<float>(layer.x.size(), 6, 1e4 - 1, 1e4 + 1);
  std::fill_n(layer.x.begin(), 16, 0.0f);
  layer.forward(context);
  check_close(layer.rstd, layer.reference().rstd(),
              Tolerance<float>{40000, largest(layer.reference().rstd())});
}

TEST_CASE("statistics of whole numbers over a power of two rows are exact", "[batch_norm]") {
  cpu::Context context;
  for (const int channels : {1, 3, 16, 70}) {
    Layer<float> layer(2, 4096, channels, Affine::yes, Relu::yes, Residual::yes);
    layer.x = integers<float>(layer.x.size(), 7, -3, 5);
    layer.dy = integers<float>(layer.dy.size(), 8);
    layer.forward(context);
    layer.backward(context);
    const auto want = layer.reference();
    CHECK(doubles(layer.mean) == want.mean());
    CHECK(doubles(layer.dbeta) == want.backward(doubles(layer.dy), doubles(layer.y)).dbeta);
  }
}

TEMPLATE_TEST_CASE("batch norm gives the same bits twice and with any number of threads", "[batch_norm]",
                   float, bf16, double) {
  const struct {
    int groups, rows, channels;
  } shapes[] = {{1, 30011, 17}, {2, 20000, 16}, {1, 50001, 3}, {3, 100, 515}, {1, 9000, 64}};
  for (const auto& s : shapes) {
    const Layer<TestType> fresh(s.groups, s.rows, s.channels, Affine::yes, Relu::yes, Residual::yes);
    Layer<TestType> first = fresh;
    cpu::Context one(1);
    first.forward(one);
    first.backward(one);
    for (const int threads : {1, 2, 3, 7}) {
      INFO(s.rows << " x " << s.channels << " with " << threads << " threads");
      Layer<TestType> again = fresh;
      cpu::Context context(threads);
      again.forward(context);
      again.backward(context);
      CHECK(same_bits(again.y, first.y));
      CHECK(same_bits(again.mean, first.mean));
      CHECK(same_bits(again.rstd, first.rstd));
      CHECK(same_bits(again.running_var, first.running_var));
      CHECK(same_bits(again.dx, first.dx));
      CHECK(same_bits(again.dresidual, first.dresidual));
      CHECK(same_bits(again.dgamma, first.dgamma));
      CHECK(same_bits(again.dbeta, first.dbeta));
    }
  }
}

TEMPLATE_TEST_CASE("the mask recomputed from x is the one of forward to the last bit", "[batch_norm]", float,
                   bf16, double) {
  using A = Acc<TestType>;
  cpu::Context context;
  for (const int channels : {5, 64}) {
    // Whole numbers and a beta that lifts every 1 to zero: a fifth of the elements have a sign of rounding
    // only.
    Layer<TestType> layer(2, 1000, channels, Affine::yes, Relu::yes);
    layer.x = integers<TestType>(layer.x.size(), 9);
    layer.forward(context);
    for (int c = 0; c < channels; ++c)
      layer.beta[c] = static_cast<A>((double(layer.mean[c]) - 1) * layer.gamma[c] * layer.rstd[c]);
    layer.forward(context);
    layer.dresidual.resize(layer.dy.size());
    BatchNormBackward<TestType> call = layer.backward_call();
    REQUIRE(!call.has_residual);
    cpu::run(call, context);
    size_t wrong = 0, passed = 0;
    for (size_t i = 0; i < layer.y.size(); ++i) {
      const bool passes = to_double(layer.y[i]) > 0;
      passed += passes;
      wrong += to_double(layer.dresidual[i]) != (passes ? to_double(layer.dy[i]) : 0);
    }
    CHECK(wrong == 0);
    CHECK(passed > layer.y.size() / 10);
  }
}

TEMPLATE_TEST_CASE("groups give the bits of one call per group, running statistics in their order",
                   "[batch_norm]", float, bf16, double) {
  using A = Acc<TestType>;
  cpu::Context context;
  for (const int channels : {3, 70}) {
    const int rows = 400, width = rows * channels;
    Layer<TestType> both(2, rows, channels, Affine::yes, Relu::yes),
        one(1, rows, channels, Affine::yes, Relu::yes);
    both.forward(context);
    both.backward(context);
    std::vector<A> dgamma(channels), dbeta(channels);
    for (int g = 0; g < 2; ++g) {
      std::copy_n(both.x.begin() + g * width, width, one.x.begin());
      std::copy_n(both.dy.begin() + g * width, width, one.dy.begin());
      one.forward(context);
      one.backward(context);
      CHECK(std::memcmp(one.y.data(), both.y.data() + g * width, width * sizeof(TestType)) == 0);
      CHECK(std::memcmp(one.dx.data(), both.dx.data() + g * width, width * sizeof(TestType)) == 0);
      for (int c = 0; c < channels; ++c) dgamma[c] += one.dgamma[c], dbeta[c] += one.dbeta[c];
    }
    CHECK(same_bits(both.running_mean, one.running_mean));
    CHECK(same_bits(both.running_var, one.running_var));
    CHECK(same_bits(both.dgamma, dgamma));
    CHECK(same_bits(both.dbeta, dbeta));
  }
}

TEST_CASE("running statistics move by momentum and take the unbiased variance", "[batch_norm]") {
  cpu::Context context;
  Layer<double> layer(2, 7, 5);
  layer.forward(context);
  const std::vector<double> mean = layer.reference().mean(), variance = layer.reference().variance();
  for (int c = 0; c < 5; ++c) {
    CHECK(layer.running_mean[c] == Approx(0.9 * 0.1 * mean[c] + 0.1 * mean[5 + c]));
    CHECK(layer.running_var[c] ==
          Approx(0.81 + 0.9 * 0.1 * variance[c] * 7 / 6 + 0.1 * variance[5 + c] * 7 / 6));
  }
  Layer<double> without(2, 7, 5);
  BatchNormForward<double> call = without.forward_call();
  call.running_mean = call.running_var = nullptr;
  cpu::run(call, context);
  CHECK(same_bits(without.y, layer.y));
  CHECK(without.running_var == std::vector<double>(5, 1.0));
}

TEMPLATE_TEST_CASE("evaluation applies the running statistics", "[batch_norm]", float, bf16, double) {
  using A = Acc<TestType>;
  cpu::Context context;
  for (const int channels : {1, 3, 70}) {
    Layer<TestType> layer(1, 500, channels, Affine::yes, Relu::yes, Residual::yes);
    layer.running_mean = random<A>(channels, 10);
    layer.running_var = random<A>(channels, 11, 0.5, 2);
    cpu::run(
        BatchNormInference<TestType>{500, channels, layer.eps, layer.x.data(), layer.gamma.data(),
                                     layer.beta.data(), layer.residual.data(), true,
                                     layer.running_mean.data(), layer.running_var.data(), layer.y.data()},
        context);
    std::vector<double> want(layer.x.size());
    for (size_t i = 0; i < want.size(); ++i) {
      const size_t c = i % channels;
      const double xhat = (to_double(layer.x[i]) - layer.running_mean[c]) /
                          std::sqrt(double(layer.running_var[c]) + layer.eps);
      want[i] = std::max(0.0, xhat * layer.gamma[c] + layer.beta[c] + to_double(layer.residual[i]));
    }
    check_close(layer.y, want, Tolerance<TestType>{1, 6});
  }
}

TEMPLATE_TEST_CASE("gradients of batch norm add to what is there when told so", "[batch_norm]", float, bf16,
                   double) {
  using A = Acc<TestType>;
  cpu::Context context;
  for (const Relu relu : {Relu::no, Relu::yes}) {
    Layer<TestType> layer(2, 60, 5, Affine::yes, relu, Residual::yes);
    layer.forward(context);
    layer.backward(context);
    Layer<TestType> sum = layer;
    BatchNormBackward<TestType> call = sum.backward_call();
    call.accumulate_dx = call.accumulate_dgamma = call.accumulate_dbeta = call.accumulate_dresidual = true;
    std::fill(sum.dx.begin(), sum.dx.end(), TestType(2.0f));
    std::fill(sum.dresidual.begin(), sum.dresidual.end(), TestType(3.0f));
    std::fill(sum.dgamma.begin(), sum.dgamma.end(), A(4));
    std::fill(sum.dbeta.begin(), sum.dbeta.end(), A(5));
    cpu::run(call, context);
    // dx in bf16 is rounded once, after the addition, so the reference is the one in double.
    const auto want = layer.reference().backward(doubles(layer.dy), doubles(layer.y));
    const auto plus = [](std::vector<double> v, double more) {
      for (double& a : v) a += more;
      return v;
    };
    check_close(sum.dx, plus(want.dx, 2), Tolerance<TestType>{60, 8});
    check_close(sum.dresidual, plus(want.dresidual, 3), Tolerance<TestType>{1, 4});
    check_close(sum.dgamma, plus(doubles(layer.dgamma), 4), Tolerance<A>{1, 16});
    check_close(sum.dbeta, plus(doubles(layer.dbeta), 5), Tolerance<A>{1, 16});
  }
}

TEST_CASE("gradients of batch norm that nobody wants are not needed for the others", "[batch_norm]") {
  cpu::Context context;
  Layer<float> all(1, 300, 5, Affine::yes, Relu::yes, Residual::yes);
  all.forward(context);
  all.backward(context);
  for (int wanted = 0; wanted < 4; ++wanted) {
    Layer<float> one = all;
    for (auto* v : {&one.dx, &one.dresidual, &one.dgamma, &one.dbeta}) std::fill(v->begin(), v->end(), -1.0f);
    BatchNormBackward<float> call = one.backward_call();
    if (wanted != 0) call.dx = nullptr;
    if (wanted != 1) call.dresidual = nullptr;
    if (wanted != 2) call.dgamma = nullptr;
    if (wanted != 3) call.dbeta = nullptr;
    cpu::run(call, context);
    CHECK(same_bits(one.dx, wanted == 0 ? all.dx : std::vector<float>(all.dx.size(), -1.0f)));
    CHECK(same_bits(one.dresidual, wanted == 1 ? all.dresidual : std::vector<float>(all.dx.size(), -1.0f)));
    CHECK(same_bits(one.dgamma, wanted == 2 ? all.dgamma : std::vector<float>(5, -1.0f)));
    CHECK(same_bits(one.dbeta, wanted == 3 ? all.dbeta : std::vector<float>(5, -1.0f)));
  }
}

TEST_CASE("gradients of batch norm agree with central differences", "[batch_norm]") {
  cpu::Context context(1);
  for (const Relu relu : {Relu::no, Relu::yes})
    for (const Residual residual : {Residual::no, Residual::yes}) {
      Layer<double> layer(2, 6, 3, Affine::yes, relu, residual);
      layer.forward(context);
      layer.backward(context);
      if (relu == Relu::yes) {  // no element so close to the kink that a step crosses it
        Layer<double> linear = layer;
        linear.relu = false;
        linear.forward(context);
        for (const double v : linear.y) REQUIRE(std::abs(v) > 1e-4);
      }
      const auto check = [&](std::vector<double> Layer<double>::*input, const std::vector<double>& gradient) {
        const auto loss = [&](size_t i, double by) {
          Layer<double> moved = layer;
          (moved.*input)[i] += by;
          moved.forward(context);
          double sum = 0;
          for (size_t k = 0; k < moved.y.size(); ++k) sum += moved.y[k] * layer.dy[k];
          return sum;
        };
        double difference = 0, norm = 0;
        for (size_t i = 0; i < gradient.size(); ++i) {
          const double numeric = (loss(i, 1e-6) - loss(i, -1e-6)) / 2e-6;
          difference += std::pow(numeric - gradient[i], 2);
          norm = norm + std::pow(numeric, 2);
        }
        CHECK(std::sqrt(norm) > 1e-2);
        CHECK(std::sqrt(difference / norm) < 1e-6);
      };
      check(&Layer<double>::x, layer.dx);
      check(&Layer<double>::gamma, layer.dgamma);
      check(&Layer<double>::beta, layer.dbeta);
      if (residual == Residual::yes) check(&Layer<double>::residual, layer.dresidual);
    }
}

TEST_CASE("a constant channel is mapped to beta, and one row to nothing infinite", "[batch_norm]") {
  cpu::Context context;
  for (const int rows : {1, 100}) {
    Layer<float> layer(1, rows, 3);
    std::fill(layer.x.begin(), layer.x.end(), 7.0f);
    layer.forward(context);
    layer.backward(context);
    for (size_t i = 0; i < layer.y.size(); ++i) CHECK(layer.y[i] == layer.beta[i % 3]);
    for (const auto& v :
         {layer.dx, layer.dgamma, layer.dbeta, layer.rstd, layer.running_mean, layer.running_var})
      for (const float value : v) CHECK(std::isfinite(value));
  }
}

TEST_CASE("NaN is not hidden by the ReLU", "[batch_norm]") {
  cpu::Context context;
  Layer<float> layer(1, 40, 3, Affine::yes, Relu::yes);
  layer.x[4] = std::numeric_limits<float>::quiet_NaN();
  layer.forward(context);
  layer.backward(context);
  for (size_t i = 0; i < layer.y.size(); ++i) {
    CHECK(std::isnan(layer.y[i]) == (i % 3 == 1));
    CHECK(std::isnan(layer.dx[i]) == (i % 3 == 1));
  }
}

TEST_CASE("batch norm refuses sizes of nothing, and one place for two gradients", "[batch_norm]") {
  cpu::Context context;
  Layer<float> layer(1, 4, 2, Affine::yes, Relu::no, Residual::yes);
  BatchNormForward<float> empty = layer.forward_call();
  empty.rows = 0;
  CHECK_THROWS_AS(cpu::run(empty, context), Error);
  layer.forward(context);
  BatchNormBackward<float> call = layer.backward_call();
  call.dresidual = call.dx;
  CHECK_THROWS_AS(cpu::run(call, context), Error);
}
