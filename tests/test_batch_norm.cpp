#include <limits>
#include <memory>

#include "kernels/check.h"
#include "tests/batch_norm_layer.h"
#include "tests/cases.h"

using namespace stopgrad;
using namespace stopgrad::test;
using namespace stopgrad::test::norm;

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
  for_each_layer<TestType>([&](Layer<TestType>& layer) { check_against_reference(layer, context); });
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

TEST_CASE("gradients summed over many rows keep their accuracy", "[batch_norm]") {
  cpu::Context context;
  const int rows = 1 << 19;
  Layer<float> layer(1, rows, 16);
  layer.dy.assign(layer.dy.size(), 0.1f);
  layer.forward(context);
  layer.backward(context);
  for (const float sum : layer.dbeta) CHECK(std::abs(sum / (rows * double(0.1f)) - 1) < 24 * 0x1p-24);
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
  } shapes[] = {{1, 30011, 17}, {2, 20000, 16}, {1, 50001, 3}, {3, 100, 515}, {1, 9000, 64}, {2, 40, 515}};
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

TEMPLATE_TEST_CASE("results that go past the caches have the same bits", "[batch_norm]", float, bf16) {
  const int rows =
      (16 << 20) / 64 / int(sizeof(TestType));  // x and y are more than the 24 MiB from which they do
  Layer<TestType> layer(1, rows, 64, Affine::yes, Relu::yes);
  const size_t count = layer.x.size(), line = 64 / sizeof(TestType);
  cpu::Context context(3);
  // Memory that is not aligned takes ordinary stores.
  const auto run = [&](size_t offset) {
    std::vector<TestType> y(count + 2 * line, from_double<TestType>(NAN)), dx = y;
    const auto place = [&](std::vector<TestType>& v) {
      void* at = v.data();
      size_t space = v.size() * sizeof(TestType);
      return static_cast<TestType*>(std::align(64, count * sizeof(TestType), at, space)) + offset;
    };
    BatchNormForward<TestType> forward = layer.forward_call();
    forward.y = place(y);
    cpu::run(forward, context);
    BatchNormBackward<TestType> backward = layer.backward_call();
    backward.dx = place(dx);
    cpu::run(backward, context);
    return std::pair(std::vector<TestType>(forward.y, forward.y + count),
                     std::vector<TestType>(backward.dx, backward.dx + count));
  };
  const auto past = run(0), ordinary = run(1);
  CHECK(same_bits(past.first, ordinary.first));
  CHECK(same_bits(past.second, ordinary.second));
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
  layer.x[4] = std::numeric_limits<float>::infinity();
  layer.forward(context);
  CHECK(std::isnan(layer.rstd[1]));
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
