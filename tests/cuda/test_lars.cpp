#include "tests/compare.h"
#include "tests/cuda/mirror.h"
#include "tests/lars_slab.h"

using namespace stopgrad;
using namespace stopgrad::test;

namespace {

template <class T>
void on_device(LarsSlab<T>& slab, bool view) {
  Mirror mirror;
  mirror.add(slab.chunks, slab.rate, slab.gradient, slab.momentum, slab.value, slab.compute);
  LarsStep<T> call = slab.call(view);
  mirror.move(call.chunk, call.rate, call.gradient, call.momentum_buffer, call.value, call.compute);
  run(call, device());
  mirror.fetch();
}

}  // namespace

TEMPLATE_TEST_CASE("a step of LARS on CUDA follows the definition, twice with the same bits", "[cuda][lars]",
                   float, bf16) {
  const int64_t large = affordable(20000) ? 2 * LarsChunk::kMost + 100 : 300;
  for (const bool view : {true, false}) {
    INFO("view " << view);
    LarsSlab<TestType> start({{large}, {7, false}, {1100}, {1}, {200, false}}), got = start, again = start;
    fill_nan(got.compute);
    const auto [m, w] = lars_step(start, start.call());
    on_device(got, view);
    on_device(again, view);
    check_close(got.momentum, m, {4, 1});
    check_close(got.value, w, {4, 1});
    CHECK((same_bits(got.momentum, again.momentum) && same_bits(got.value, again.value)));
    if (!view) continue;
    std::vector<TestType> rounded(got.size);
    for (size_t i = 0; i < rounded.size(); ++i) rounded[i] = TestType(got.value[i]);
    CHECK(same_bits(got.compute, rounded));
  }
}

TEST_CASE("on CUDA a weight or gradient of zeros takes the plain step, and no chunks none", "[cuda][lars]") {
  LarsSlab<float> start({{64}, {64}}), got = start;
  std::fill_n(start.value.begin(), 64, 0.f);
  std::fill_n(start.gradient.begin() + 64, 64, 0.f);
  std::fill_n(start.value.begin() + 64, 64, 0.f);
  got = start;
  const auto [m, w] = lars_step(start, start.call());
  on_device(got, true);
  check_close(got.momentum, m, {4, 1});
  check_close(got.value, w, {4, 1});
  LarsStep<float> none = start.call();
  none.chunks = 0;
  run(none, device());
}
