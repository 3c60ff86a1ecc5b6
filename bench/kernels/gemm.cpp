// The three products of a linear layer: x w + bias, dy w^T, and x^T dy in the type of sums.
#include "kernels/gemm.h"

#include "bench/kernels/registry.h"
#include "kernels/onednn.h"
#include "tests/reference/gemm.h"

namespace stopgrad::bench {
namespace {

template <class T, class Out>
struct Product {
  int m, n, k;
  bool transpose_a, transpose_b, bias;

  std::string op() const {
    return transpose_a ? "gemm_bwd_weight" : transpose_b ? "gemm_bwd_input" : "gemm_fwd";
  }
  std::string shape() const { return fmt::format("m{}_n{}_k{}", m, n, k); }
  Gemm<T, Out> make(Arena& a) const {
    return {m,
            n,
            k,
            transpose_a,
            transpose_b,
            a.random<T>(int64_t{m} * k, 1),
            a.random<T>(int64_t{k} * n, 2),
            a.output<Out>(int64_t{m} * n),
            false,
            bias ? a.random<Acc<T>>(n, 3) : nullptr};
  }
  void check(const Gemm<T, Out>& before, const Gemm<T, Out>& after, Comparison& c) const {
    const auto x = test::doubles(std::vector(before.a, before.a + int64_t{m} * k));
    const auto w = test::doubles(std::vector(before.b, before.b + int64_t{k} * n));
    const int64_t count = int64_t{m} * n;
    const auto want = [&](int64_t i) {
      return test::reference::gemm(m, n, k, transpose_a, transpose_b, x, w, int(i / n), int(i % n)) +
             (bias ? double(before.bias[i % n]) : 0);
    };
    c.close("c", after.c, count, want, test::tolerance_of_sequence<Out>(k + 2, 1 / 3.0),
            sample_step(count, 1000));
    c.written("c", after.c, count);
  }
};

template <class Call>
Baseline<Call> onednn(const Call& call, const Device& device) {
  if (!device.is_cpu() || !cpu::onednn::run(call, *device.cpu)) return {};
  return {"oneDNN, our threads", [device](const Call& c) { cpu::onednn::run(c, *device.cpu); }};
}

template <class T>
void add(Registry& registry) {
  using A = Acc<T>;
  for (const auto& [name, m, n, k, real] : registry.gemms) {
    const bool quick = m == 512;
    registry.add<T>(Product<T, T>{m, n, k, false, false, true}, quick, Limit::matmul, &onednn<Gemm<T, T>>);
    registry.add<T>(Product<T, T>{m, k, n, false, true, false}, quick, Limit::matmul, &onednn<Gemm<T, T>>);
    registry.add<T>(Product<T, A>{k, n, m, true, false, false}, quick, Limit::matmul, &onednn<Gemm<T, A>>);
  }
}

}  // namespace

void add_gemm(Registry& registry) {
  add<float>(registry);
  add<bf16>(registry);
}

}  // namespace stopgrad::bench
