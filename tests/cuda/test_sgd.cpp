#include "kernels/sgd.h"

#include "tests/compare.h"
#include "tests/cuda/mirror.h"

using namespace stopgrad;
using namespace stopgrad::test;

namespace {

const std::vector<int64_t>& counts() {
  static const std::vector<int64_t> all = {0, 1, 7, 1003, 2500, 9001},
                                    few = {0, 1, 7, 1003, 2500};  // more than a block
  return affordable(2000) ? all : few;
}

/// A slab of arrays that begin at the start of their memory or, those in `late`, one element behind it; what
/// lies around them stays.
template <class T>
struct Slab {
  int64_t count;
  unsigned late;  // 1: gradient, 2: momentum, 4: value, 8: compute
  std::vector<float> rate = {.06f}, gradient, momentum, value;
  std::vector<T> compute;

  Slab(int64_t n, unsigned late)
      : count(n),
        late(late),
        gradient(random<float>(n + 2, 1)),
        momentum(random<float>(n + 2, 2)),
        value(random<float>(n + 2, 3)),
        compute(n + 2) {
    fill_nan(compute);
  }
  SgdStep<T> call(bool view) {
    return {count,
            rate.data(),
            .9f,
            5e-4f,
            gradient.data() + (late >> 0 & 1),
            momentum.data() + (late >> 1 & 1),
            value.data() + (late >> 2 & 1),
            view ? compute.data() + (late >> 3 & 1) : nullptr};
  }
};

template <class T>
void on_device(SgdStep<T> call, const Mirror& mirror) {
  mirror.move(call.rate, call.gradient, call.momentum_buffer, call.value, call.compute);
  run(call, device());
}

}  // namespace

TEMPLATE_TEST_CASE("a step of SGD on CUDA is the CPU's bit for bit", "[cuda][sgd]", float, bf16) {
  for (const int64_t n : counts())
    for (const unsigned late : {0, 1, 2, 4, 8, 15})
      for (const bool view : {true, false}) {
        INFO(n << " elements, late " << late << ", view " << view);
        Slab<TestType> want(n, late), got = want;
        cpu::Context context(1);
        cpu::run(want.call(view), context);
        {
          Mirror mirror;
          mirror.add(got.rate, got.gradient, got.momentum, got.value, got.compute);
          on_device(got.call(view), mirror);
          mirror.fetch();
        }
        CHECK(same_bits(got.momentum, want.momentum));
        CHECK(same_bits(got.value, want.value));
        CHECK(same_bits(got.compute, want.compute));
      }
}

TEST_CASE("a step on CUDA reads the rate that the device's memory holds at its time", "[cuda][sgd]") {
  Slab<float> want(100, 0), got = want;
  cpu::Context context(1);
  Mirror mirror;
  mirror.add(got.rate, got.gradient, got.momentum, got.value, got.compute);
  for (const float rate : {.1f, .05f, 0.f}) {
    want.rate[0] = rate;
    cpu::run(want.call(true), context);
    device().copy_to_device(mirror(got.rate.data()), &rate, sizeof rate);
    on_device(got.call(true), mirror);
  }
  mirror.fetch();
  CHECK(same_bits(got.value, want.value));
  CHECK(same_bits(got.momentum, want.momentum));
}

TEST_CASE("the moving average on CUDA is the CPU's bit for bit", "[cuda][sgd]") {
  for (const int64_t n : counts())
    for (const int late : {0, 1, 2, 3})  // 1: source, 2: target
      for (const float momentum : {0.f, .99f, 1.f}) {
        INFO(n << " elements, late " << late << ", momentum " << momentum);
        const int to_source = late & 1, to_target = late >> 1;
        auto source = random<float>(n + 2, 6), want = random<float>(n + 2, 7), got = want;
        cpu::Context context(1);
        cpu::run(MovingAverage<float>{n, momentum, source.data() + to_source, want.data() + to_target},
                 context);
        Mirror mirror;
        mirror.add(source, got);
        run(MovingAverage<float>{n, momentum, mirror(source.data() + to_source),
                                 mirror(got.data() + to_target)},
            device());
        mirror.fetch();
        CHECK(same_bits(got, want));
      }
}
