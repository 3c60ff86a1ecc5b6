#include "tests/cases.h"
#include "tests/cuda/batch_norm.h"

using namespace stopgrad;
using namespace stopgrad::test;
using namespace stopgrad::test::norm;

namespace {

template <class T>
void on_cpu(Layer<T>& layer) {
  cpu::Context context(1);
  layer.forward(context);
  layer.backward(context);
}

}  // namespace

TEMPLATE_TEST_CASE("batch norm on CUDA agrees with the reference", "[cuda][batch_norm]", float, bf16) {
  for_each_layer<TestType>([](Layer<TestType>& layer) {
    if (!affordable(int64_t{layer.rows} * layer.channels)) return;
    on_device(layer);
    check_outputs(layer);
  });
}

TEMPLATE_TEST_CASE("batch norm on CUDA agrees with the reference on layers of real networks",
                   "[cuda][batch_norm]", float, bf16) {
  for (const MatrixCase& shape : matrix_cases()) {
    if (!shape.real || !affordable(int64_t{shape.rows} * shape.channels, true)) continue;
    for (const Residual residual : {Residual::no, Residual::yes}) {
      INFO(shape.name << ", residual " << int(residual));
      Layer<TestType> layer(2, shape.rows / 2, shape.channels, Affine::yes, Relu::yes, residual);
      on_device(layer);
      check_outputs(layer);
    }
  }
}

TEMPLATE_TEST_CASE("batch norm on CUDA is the CPU's bit for bit on whole numbers", "[cuda][batch_norm]",
                   float, bf16) {
  for (const int channels : {1, 3, 16, 70}) {
    if (!affordable(256 * channels)) continue;
    INFO(channels << " channels");
    Layer<TestType> want(2, 256, channels, Affine::yes, Relu::yes, Residual::yes);
    want.x = integers<TestType>(want.x.size(), 7, -3, 5);
    want.dy = integers<TestType>(want.dy.size(), 8);
    want.residual = integers<TestType>(want.residual.size(), 9);
    Layer<TestType> got = want;
    on_cpu(want);
    on_device(got);
    CHECK(same_bits(got.mean, want.mean));
    CHECK(same_bits(got.rstd, want.rstd));
    CHECK(same_bits(got.running_mean, want.running_mean));
    CHECK(same_bits(got.running_var, want.running_var));
    CHECK(same_bits(got.y, want.y));
    CHECK(same_bits(got.dresidual, want.dresidual));
    CHECK(same_bits(got.dbeta, want.dbeta));
  }
}

TEMPLATE_TEST_CASE("batch norm on CUDA adds to gradients and gives the same bits twice", "[cuda][batch_norm]",
                   float, bf16) {
  const Layer<TestType> fresh(2, 75, 33, Affine::yes, Relu::yes, Residual::yes);
  Layer<TestType> first = fresh, second = fresh, added = fresh;
  on_device(first);
  on_device(second);
  CHECK(same_bits(first.dx, second.dx));
  CHECK(same_bits(first.dgamma, second.dgamma));
  CHECK(same_bits(first.y, second.y));
  on_device(added, true);  // to gradients of zero
  CHECK(same_bits(first.dx, added.dx));
  CHECK(same_bits(first.dresidual, added.dresidual));
  on_device(added, true);
  CHECK(added.dbeta[7] == 2 * first.dbeta[7]);
}

TEMPLATE_TEST_CASE("a batch norm read once has the bits of two passes on CUDA", "[cuda][batch_norm]", float,
                   bf16) {
  struct {
    int groups, rows, channels;
  } const shapes[] = {{1, 2, 8},     {2, 37, 24},   {3, 5, 72},   {1, 1100, 8},
                      {2, 1100, 16}, {1, 3137, 32}, {2, 150, 256}};
  for (const auto [groups, rows, channels] : shapes)
    for (const bool residual : {false, true}) {
      if (channels > 8 && !affordable(int64_t{groups} * rows * channels))
        continue;  // 1100: several blocks wait
      INFO(groups << " groups of " << rows << " rows and " << channels << " channels, residual " << residual);
      Layer<TestType> once(groups, rows, channels, Affine::yes, Relu::yes,
                           residual ? Residual::yes : Residual::no);
      Layer<TestType> twice = once;
      for (const bool accumulate : {false, true}) {
        device().on_chip = true;
        on_device(once, accumulate);
        device().on_chip = false;
        on_device(twice, accumulate);
        device().on_chip = true;
        check_same(once, twice);
      }
    }
}

TEST_CASE("a mean far from zero costs no digit of the variance on CUDA", "[cuda][batch_norm]") {
  for (const int channels : {1, 16, 70}) {
    if (!affordable(1500 * channels)) continue;
    INFO(channels << " channels");
    Layer<float> layer(1, 1500, channels);
    layer.x = random<float>(layer.x.size(), 6, 1e4 - std::sqrt(3.0), 1e4 + std::sqrt(3.0));
    on_device(layer);
    check_outputs(layer);
  }
  if (!affordable(40000)) return;
  Layer<float> layer(1, 5000, 8);
  layer.x = random<float>(layer.x.size(), 6, 1e4 - 1, 1e4 + 1);
  std::fill_n(layer.x.begin(), 8, 0.0f);
  on_device(layer);
  check_close(layer.rstd, layer.reference().rstd(),
              Tolerance<float>{5000, largest(layer.reference().rstd())});
}

TEMPLATE_TEST_CASE("batch norm inference on CUDA is the CPU's", "[cuda][batch_norm]", float, bf16) {
  using A = Acc<TestType>;
  for (const int channels : {5, 64}) {
    Layer<TestType> layer(1, 37, channels, Affine::yes, Relu::yes, Residual::yes);
    layer.running_mean = random<A>(layer.running_mean.size(), 11);
    layer.running_var = random<A>(layer.running_var.size(), 12, 0.5, 2);
    BatchNormInference<TestType> call{layer.rows,
                                      layer.channels,
                                      layer.eps,
                                      layer.x.data(),
                                      layer.gamma.data(),
                                      layer.beta.data(),
                                      layer.residual.data(),
                                      true,
                                      layer.running_mean.data(),
                                      layer.running_var.data(),
                                      layer.y.data()};
    cpu::Context context(1);
    cpu::run(call, context);
    const auto want = layer.y;
    fill_nan(layer.y);
    Mirror mirror;
    mirror.add(layer.x, layer.gamma, layer.beta, layer.residual, layer.running_mean, layer.running_var,
               layer.y);
    mirror.move(call.x, call.gamma, call.beta, call.residual, call.running_mean, call.running_var, call.y);
    run(call, device());
    mirror.fetch();
    CHECK(same_bits(layer.y, want));
  }
}
