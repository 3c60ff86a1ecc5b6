// Which launches a batch norm and a loss take, by what the device's shared memory holds.
#include "tests/cuda/batch_norm.h"
#include "tests/cuda/rows.h"
#include "tests/emulator/block.h"
#include "tests/emulator/runtime_calls.h"

using namespace stopgrad;
using namespace stopgrad::test;
using namespace stopgrad::test::norm;

namespace {

/// Runtime calls of `f`: launches, where its scratch memory is there already.
template <class F>
int64_t calls_of(F f) {
  f();
  const int64_t before = emulator::calls();
  f();
  return emulator::calls() - before;
}

/// A device whose blocks have that much shared memory.
struct SharedLimit {
  size_t kept = emulator::options().shared_limit;
  explicit SharedLimit(size_t bytes) { emulator::options().shared_limit = bytes; }
  ~SharedLimit() { emulator::options().shared_limit = kept; }
};

}  // namespace

TEMPLATE_TEST_CASE("batch norm keeps on the chip as many groups as fit there", "[emulator][batch_norm]",
                   float, bf16) {
  const int width = std::is_same_v<TestType, float> ? 8 : 16;
  const Layer<TestType> fresh(3, 600, width, Affine::yes, Relu::yes);
  Layer<TestType> two_passes = fresh;
  {
    cuda::Context context;
    context.on_chip = false;
    on_device(two_passes, false, context);
  }
  // The sums' tree takes 16 or 32 KiB, a group 32 KiB of x and as much of dy.
  const size_t tree = size_t(width) << 11;
  struct {
    size_t room;
    int forward, backward;  // launches
  } const devices[] = {{size_t{190} << 10, 1, 1},
                       {size_t{80} << 10, 1, 1},
                       {size_t{40} << 10, 1, 3},
                       {size_t{30} << 10, 3, 3},
                       {0, 3, 3}};
  for (const auto& [room, forward, backward] : devices) {
    INFO(room << " bytes for groups");
    const SharedLimit limit(tree + 1024 + room);
    cuda::Context context;
    Layer<TestType> layer = fresh;
    on_device(layer, false, context);
    check_same(layer, two_passes);
    Mirror mirror;
    mirror.add(layer.x, layer.dy, layer.y, layer.dx, layer.gamma, layer.beta, layer.mean, layer.rstd,
               layer.running_mean, layer.running_var, layer.dgamma, layer.dbeta);
    auto f = layer.forward_call();
    mirror.move(f.x, f.gamma, f.beta, f.y, f.mean, f.rstd, f.running_mean, f.running_var);
    auto b = layer.backward_call();
    mirror.move(b.dy, b.x, b.gamma, b.beta, b.mean, b.rstd, b.dx, b.dgamma, b.dbeta);
    CHECK(calls_of([&] { run(f, context); }) == forward);
    CHECK(calls_of([&] { run(b, context); }) == backward);
    b.dx = nullptr;  // then dy and x are read once anyway
    CHECK(calls_of([&] { run(b, context); }) == 2);
  }
}

TEST_CASE("the cosine loss is one launch each way", "[emulator][cosine_loss]") {
  PairLoss<CosineLossForward, CosineLossBackward, float> loss{5, 24, {}, {}};
  for (const uint64_t seed : {1, 2}) {
    loss.p.push_back(random<float>(5 * 24, seed));
    loss.z.push_back(random<float>(5 * 24, seed + 2));
  }
  loss.loss.assign(1, NAN);
  loss.saved.assign(2 * 5 * 3, NAN);
  loss.gradient_each();
  Mirror mirror;
  mirror.add(loss.p[0], loss.p[1], loss.z[0], loss.z[1], loss.loss, loss.saved, loss.dloss, loss.gradients[0],
             loss.gradients[1]);
  CosineLossForward<float> f{2,
                             5,
                             24,
                             {loss.p[0].data(), loss.p[1].data()},
                             {loss.z[0].data(), loss.z[1].data()},
                             loss.loss.data(),
                             loss.saved.data()};
  CosineLossBackward<float> b{2,
                              5,
                              24,
                              {f.p[0], f.p[1]},
                              {f.z[0], f.z[1]},
                              loss.saved.data(),
                              loss.dloss.data(),
                              {loss.gradients[0].data(), loss.gradients[1].data()},
                              {},
                              {},
                              {}};
  for (int k = 0; k < 2; ++k) mirror.move(f.p[k], f.z[k], b.p[k], b.z[k], b.dp[k]);
  mirror.move(f.loss, f.saved, b.saved, b.dloss);
  CHECK(calls_of([&] { run(f, device()); }) == 1);
  CHECK(calls_of([&] { run(b, device()); }) == 1);
}
