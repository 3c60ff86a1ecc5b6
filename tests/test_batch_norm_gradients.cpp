#include "tests/batch_norm_layer.h"

using namespace stopgrad;
using namespace stopgrad::test;
using namespace stopgrad::test::norm;

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
