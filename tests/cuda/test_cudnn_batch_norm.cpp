// Our batch norm on CUDA against cuDNN's: both against the reference, and against each other.
#include "bench/cudnn_batch_norm.h"
#include "kernels/check.h"
#include "tests/batch_norm_layer.h"
#include "tests/cuda/mirror.h"

using namespace stopgrad;
using namespace stopgrad::test;
using namespace stopgrad::test::norm;

namespace {

/// False where cuDNN has no such kernel.
template <class T, class Run>
bool on_device(Layer<T>& layer, Run run_both) {
  for (auto* out : {&layer.y, &layer.dx, &layer.dresidual}) fill_nan(*out);
  for (auto* out : {&layer.mean, &layer.rstd, &layer.dgamma, &layer.dbeta}) fill_nan(*out);
  Mirror mirror;
  mirror.add(layer.x, layer.residual, layer.dy, layer.y, layer.dx, layer.dresidual, layer.gamma, layer.beta,
             layer.mean, layer.rstd, layer.running_mean, layer.running_var, layer.dgamma, layer.dbeta);
  auto f = layer.forward_call();
  auto b = layer.backward_call();
  mirror.move(f.x, f.gamma, f.beta, f.residual, f.y, f.mean, f.rstd, f.running_mean, f.running_var);
  mirror.move(b.dy, b.x, b.y, b.gamma, b.beta, b.mean, b.rstd, b.dx, b.dgamma, b.dbeta, b.dresidual);
  try {
    run_both(f, b);
  } catch (const Error& error) {
    INFO(error.what());
    REQUIRE(device().usable());
    return false;
  }
  mirror.fetch();
  return true;
}

/// Two results, each within the tolerance of the exact one.
template <class T>
void check_near(const char* what, const std::vector<T>& got, const std::vector<T>& want, double scale,
                double rows) {
  INFO(what);
  CHECK(used(got, doubles(want), Tolerance<T>{rows, scale}) <= 2);
}

}  // namespace

TEMPLATE_TEST_CASE("batch norm on CUDA agrees with cuDNN's", "[cuda][batch_norm][cudnn]", float, bf16) {
  constexpr bool half = std::is_same_v<TestType, bf16>;
#if defined(STOPGRAD_EMULATE)
  constexpr bool emulated = true;
#else
  constexpr bool emulated = false;
#endif
  int fused = 0;
  for (const MatrixCase& shape : matrix_cases())
    for (const auto& [relu, residual] :
         {std::pair{Relu::no, Residual::no}, {Relu::yes, Residual::no}, {Relu::yes, Residual::yes}}) {
      if (!affordable(int64_t{shape.rows} * shape.channels, shape.real)) continue;
      INFO(shape.name << ", relu " << int(relu) << ", residual " << int(residual));
      Layer<TestType> ours(1, shape.rows, shape.channels, Affine::yes, relu, residual), theirs = ours;
      const bool found = on_device(theirs, [&](const auto& f, const auto& b) {
        bench::CudnnBatchNorm<TestType> baseline(device(), shape.rows, shape.channels, relu == Relu::yes,
                                                 residual == Residual::yes);
        baseline.forward(f);
        baseline.backward(b, f);
      });
      // Which ones a cuDNN has beside the plain one of floats is its own affair.
      if (relu == Relu::no ? emulated || !half : emulated && half && shape.channels % 8 == 0) REQUIRE(found);
      if (!found) {
        if (half && shape.channels % 8 == 0)
          WARN(shape.name << ", relu " << int(relu) << ", residual " << int(residual)
                          << ": not compared, cuDNN has none");
        continue;
      }
      fused += relu == Relu::yes;
      on_device(ours, [](const auto& f, const auto& b) {
        run(f, device());
        run(b, device());
      });
      check_outputs(ours);
      check_outputs(theirs);
      const double n = shape.rows, rstd = largest(ours.rstd), spread = largest(ours.x) * rstd;
      check_near("y", ours.y, theirs.y,
                 largest(ours.gamma) * spread + largest(ours.beta) + largest(ours.residual), n);
      check_near("running mean", ours.running_mean, theirs.running_mean, largest(ours.x), n);
      check_near("running variance", ours.running_var, theirs.running_var, 1, n);
      if (relu == Relu::no)
        check_near("dx", ours.dx, theirs.dx,
                   largest(ours.gamma) * rstd * largest(ours.dy) * (1 + spread * spread), n);
    }
  if (half && emulated && affordable(64 * 256)) CHECK(fused > 0);  // the smallest shape that must be
}
