#include "engine/ops.h"
#include "kernels/elementwise.h"
#include "kernels/gemm.h"

namespace stopgrad {

namespace {
struct MatmulTransposedNode : Node {
  Tensor a, b;
  MatmulTransposedNode(const Tensor& left, const Tensor& right) : a(left), b(right) {}
  const char* name() const override { return "matmul_transposed"; }

  void backward(const Tensor& dy, Grads& grads) override {
    const int n = a.rows(), m = b.rows(), c = a.channels();
    visit_float(a.dtype(), [&](auto zero) {
      using T = decltype(zero);
      const Tensor g = in_type_of_inputs(dy);
      if (grads.wants(0)) {
        const auto da = grads.slot<T>(0);  // da = dy b
        launch(dy.device(),
               Gemm<T, T>{n, c, m, false, false, g.data<T>(), b.data<T>(), da.data, da.accumulate, nullptr});
      }
      if (grads.wants(1)) {
        const auto db = grads.slot<T>(1);  // db = dy^T a
        launch(dy.device(),
               Gemm<T, T>{m, c, n, true, false, g.data<T>(), a.data<T>(), db.data, db.accumulate, nullptr});
      }
    });
  }

  /// Matrix products take both factors in one type.
  Tensor in_type_of_inputs(const Tensor& dy) const {
    if (a.dtype() == dy.dtype()) return dy;
    const Tensor out(dy.pool(), dy.shape(), a.dtype());
    launch(dy.device(), Cast<float, bf16>{dy.count(), dy.data<float>(), out.data<bf16>()});
    return out;
  }
};
}  // namespace

Var matmul_transposed(const Var& a, const Var& b) {
  ENSURE(a.shape().rank() == 2 && b.shape().rank() == 2 && a.shape()[1] == b.shape()[1],
         "matmul_transposed: a is {}, b is {}; both need as many columns", a.shape(), b.shape());
  ENSURE(a.dtype() == b.dtype(), "matmul_transposed: a holds {}, b holds {}", name_of(a.dtype()),
         name_of(b.dtype()));
  const Tensor y(a.value.pool(), {a.shape()[0], b.shape()[0]}, acc_of(a.dtype()));
  visit_float(a.dtype(), [&](auto zero) {
    using T = decltype(zero);
    launch(y.device(),
           Gemm<T, Acc<T>>{y.rows(), y.channels(), a.value.channels(), false, true, a.value.data<T>(),
                           b.value.data<T>(), y.data<Acc<T>>(), false, nullptr});
  });
  return a.tape->record(y, std::make_unique<MatmulTransposedNode>(a.value, b.value), {a, b});
}

}  // namespace stopgrad
