#include "kernels/sinkhorn.h"

#include "engine/ops.h"

namespace stopgrad {

namespace {
/// On the tape for pictures alone: behind a wall nothing asks for a gradient.
struct SinkhornNode : Node {
  const char* name() const override { return "sinkhorn"; }
  void backward(const Tensor&, Grads&) override {
    fail(Exit::failed, "sinkhorn: a gradient passed the wall");
  }
};
}  // namespace

Var sinkhorn(const Var& scores, double epsilon, int iterations) {
  ENSURE(scores.shape().rank() == 2 && scores.dtype() != DType::bf16,
         "sinkhorn: scores are {} of {}, not [N,K] "
         "of floats",
         scores.shape(), name_of(scores.dtype()));
  ENSURE(epsilon > 0 && iterations > 0, "sinkhorn: epsilon {} and {} iterations, both must be positive",
         epsilon, iterations);
  ENSURE(scores.index < 0 || !scores.tape->entries()[static_cast<size_t>(scores.index)].wants_grad,
         "sinkhorn: codes have no gradient; detach the scores first");
  const Tensor log_q = like(scores.value);
  visit_float(log_q.dtype(), [&](auto zero) {
    using T = decltype(zero);
    if constexpr (!std::is_same_v<T, bf16>)
      launch(log_q.device(), Sinkhorn<T>{log_q.rows(), log_q.channels(), iterations, static_cast<T>(epsilon),
                                         scores.value.data<T>(), log_q.data<T>()});
  });
  return scores.tape->record(log_q, std::make_unique<SinkhornNode>(), {scores});
}

}  // namespace stopgrad
