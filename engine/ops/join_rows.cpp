#include "engine/ops.h"
#include "kernels/elementwise.h"
#include "kernels/memory.h"

namespace stopgrad {

namespace {
struct JoinRowsNode : Node {
  std::vector<Shape> shapes;  // of the parts
  const char* name() const override { return "join_rows"; }
  void backward(const Tensor& dy, Grads& grads) override {
    visit_float(dy.dtype(), [&](auto zero) {
      using T = decltype(zero);
      const T* from = dy.data<T>();
      for (size_t i = 0; i < shapes.size(); ++i) {
        const int64_t count = shapes[i].count();
        if (const int input = static_cast<int>(i); grads.wants(input)) {
          const auto dx = grads.slot<T>(input);
          launch(dy.device(), Scale<T>{count, 1, from, dx.data, dx.accumulate});
        }
        from += count;
      }
    });
  }
};
}  // namespace

Var join_rows(const std::vector<Var>& parts) {
  ENSURE(!parts.empty(), "join_rows: there is nothing to join");
  const Var& first = parts[0];
  int64_t rows = 0;
  auto node = std::make_unique<JoinRowsNode>();
  for (const Var& part : parts) {
    ENSURE(part.shape().rank() == 2 && part.shape()[1] == first.shape()[1] && part.dtype() == first.dtype(),
           "join_rows: {} {} does not continue {} {}", name_of(part.dtype()), part.shape(),
           name_of(first.dtype()), first.shape());
    rows += part.shape()[0];
    node->shapes.push_back(part.shape());
  }
  const Tensor y(first.value.pool(), {rows, first.shape()[1]}, first.dtype());
  int64_t at = 0;
  for (const Var& part : parts) {
    const Tensor place = y.part(at, at + part.shape()[0]);
    copy_on_device(y.device(), place.raw(), part.value.raw(), place.bytes());
    at += part.shape()[0];
  }
  return first.tape->record(y, std::move(node), parts);
}

}  // namespace stopgrad
