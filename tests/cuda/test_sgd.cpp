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

/// A slab whose arrays begin `offset` elements behind the start of their memory; what lies around them stays.
template <class T>
struct Slab {
  int64_t count;
  int offset;
  std::vector<float> rate = {.06f}, gradient, momentum, value;
  std::vector<T> compute;

  Slab(int64_t n, int offset)
      : count(n),
        offset(offset),
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
            gradient.data() + offset,
            momentum.data() + offset,
            value.data() + offset,
            view ? compute.data() + offset : nullptr};
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
    for (const int offset : {0, 1})
      for (const bool view : {true, false}) {
        INFO(n << " elements, offset " << offset << ", view " << view);
        Slab<TestType> want(n, offset), got = want;
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
    for (const int offset : {0, 1})
      for (const float momentum : {0.f, .99f, 1.f}) {
        INFO(n << " elements, offset " << offset << ", momentum " << momentum);
        auto source = random<float>(n + 2, 6), want = random<float>(n + 2, 7), got = want;
        cpu::Context context(1);
        cpu::run(MovingAverage<float>{n, momentum, source.data() + offset, want.data() + offset}, context);
        Mirror mirror;
        mirror.add(source, got);
        run(MovingAverage<float>{n, momentum, mirror(source.data() + offset), mirror(got.data() + offset)},
            device());
        mirror.fetch();
        CHECK(same_bits(got, want));
      }
}
