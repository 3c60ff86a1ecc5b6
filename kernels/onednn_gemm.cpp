// Matrix products by oneDNN, in blocks of the result that the threads share.
#ifdef STOPGRAD_ONEDNN

#include <algorithm>
#include <cstdint>

#include "kernels/check.h"
#include "kernels/onednn.h"
#include "kernels/onednn_plan.h"
#include "kernels/plain.h"
#include "kernels/scratch_pieces.h"

namespace stopgrad::cpu::onednn {

namespace {

/// Blocks of c in a product, by sizes alone: about as high as wide, two million products or more.
struct Blocks {
  int m, n, rows = 256, columns = 256, down, across;

  Blocks(int height, int width, int k) : m(height), n(width) {
    rows = std::min(rows, (m + 15) / 16 * 16), columns = std::min(columns, (n + 15) / 16 * 16);
    const auto count = [](int all, int block) { return (all + block - 1) / block; };
    while (count(m, rows) * count(n, columns) < 16 && int64_t{rows} * columns * k > (1 << 22)) {
      int& larger = rows >= columns ? rows : columns;
      if (larger <= 64) break;
      larger = (larger / 2 + 15) / 16 * 16;
    }
    down = count(m, rows), across = count(n, columns);
  }

  /// f(first row, rows, first column, columns, thread) for each block
  template <class F>
  void each(Context& context, F f) const {
    context.share(int64_t{down} * across, [&](int64_t block, int thread) {
      const OneThread here;
      const int i = static_cast<int>(block) / across * rows, j = static_cast<int>(block) % across * columns;
      f(i, std::min(rows, m - i), j, std::min(columns, n - j), thread);
    });
  }
};

/// Where the rows of a and the columns of b that a block reads begin, and how far apart their lines are.
template <class T, class Out>
struct Operands {
  const Gemm<T, Out>& g;
  const T* a(int i) const { return g.a + (g.transpose_a ? i : int64_t{i} * g.k); }
  const T* b(int j) const { return g.b + (g.transpose_b ? int64_t{j} * g.k : j); }
  int a_line() const { return g.transpose_a ? g.m : g.k; }
  int b_line() const { return g.transpose_b ? g.k : g.n; }
};

/// By the library's plain call, which is slow where b is transposed: 0.3 to 0.8 of the primitive's rate.
void run_sgemm(const Gemm<float, float>& g, Context& context) {
  const Operands<float, float> from{g};
  if (g.bias != nullptr) plain::start_with_bias(g.m, g.n, g.bias, g.c, g.accumulate);
  const float add = g.accumulate || g.bias != nullptr ? 1.0f : 0.0f;
  Blocks(g.m, g.n, g.k).each(context, [&](int i, int rows, int j, int columns, int) {
    const dnnl_status_t status =
        dnnl_sgemm(g.transpose_a ? 'T' : 'N', 'N', rows, columns, g.k, 1, from.a(i), from.a_line(), from.b(j),
                   from.b_line(), add, g.c + int64_t{i} * g.n + j, g.n);
    ENSURE(status == dnnl_success, "gemm: oneDNN refuses {} x {} x {}, error {}", g.m, g.n, g.k, int(status));
  });
}

/// The primitive for a block of this size; it writes `out`.
template <class T, class Out>
Plan& matmul_plan(Library& library, const Gemm<T, Out>& g, Type out, int rows, int columns) {
  const Operands<T, Out> from{g};
  const Key key = {int(Kind::gemm), int(type_of<T>), int(out), rows, columns, g.k,
                   g.transpose_a,   g.transpose_b,   g.m,      g.n};
  return plan_of(library, key, [&] {
    using Strides = memory::dims;
    const auto line_a = from.a_line(), line_b = from.b_line();
    const memory::desc a({rows, g.k}, type_of<T>, g.transpose_a ? Strides{1, line_a} : Strides{line_a, 1});
    const memory::desc b({g.k, columns}, type_of<T>, g.transpose_b ? Strides{1, line_b} : Strides{line_b, 1});
    const memory::desc c({rows, columns}, out, Strides{g.n, 1});
    Plan made;
    const auto product = describe<dnnl::matmul>(library.engine, attributes(), a, b, c);
    if (adopt(made, product)) bind(made, library, {}, a, b, c, product.scratchpad_desc());
    return made;
  });
}

/// By primitives, one for each size of block; false where the library has none for one of them.
template <class T, class Out>
bool run_matmul(const Gemm<T, Out>& g, Context& context) {
  const Blocks blocks(g.m, g.n, g.k);
  const Operands<T, Out> from{g};
  const bool direct = g.bias == nullptr && !g.accumulate;  // else sums in float, rounded once at the end
  const Type out = direct ? type_of<Out> : Type::f32;
  Library& library = Library::of(context);
  const int last_rows = g.m - (blocks.down - 1) * blocks.rows,
            last_columns = g.n - (blocks.across - 1) * blocks.columns;
  size_t scratchpad_bytes = 0;
  for (const int rows : {std::min(blocks.rows, g.m), last_rows}) {
    for (const int columns : {std::min(blocks.columns, g.n), last_columns}) {
      const Plan& plan = matmul_plan(library, g, out, rows, columns);
      if (!plan.main) return false;
      scratchpad_bytes = std::max(scratchpad_bytes, (plan.scratchpad_bytes + 63) / 64 * 64);
    }
  }
  const size_t sum_bytes = direct ? 0 : sizeof(float) * g.m * g.n;
  const auto [scratchpads, sum] = scratch_pieces(context, {scratchpad_bytes * context.threads(), sum_bytes});
  const auto block = [&, scratchpads = scratchpads, sum = sum](int i, int rows, int j, int columns,
                                                               int thread) {
    Plan& plan = matmul_plan(library, g, out, rows, columns);
    const int64_t at = int64_t{i} * g.n + j;
    const void* c = direct ? static_cast<void*>(g.c + at) : reinterpret_cast<float*>(sum) + at;
    use_weights(plan, thread, from.b(j));
    execute(library, plan, thread, from.a(i), c, scratchpads + thread * scratchpad_bytes);
  };
  blocks.each(context, block);
  if (!direct)
    plain::finish<Out>(reinterpret_cast<float*>(sum), g.m, g.n, g.c, g.bias, g.accumulate, context);
  return true;
}

}  // namespace

template <class T, class Out>
bool run(const Gemm<T, Out>& g, Context& context) {
  if constexpr (std::is_same_v<T, float>) {
    if (!g.transpose_b) {
      run_sgemm(g, context);
      return true;
    }
  }
  return run_matmul(g, context);
}

template bool run(const Gemm<float, float>&, Context&);
template bool run(const Gemm<bf16, bf16>&, Context&);
template bool run(const Gemm<bf16, float>&, Context&);

}  // namespace stopgrad::cpu::onednn

#endif
