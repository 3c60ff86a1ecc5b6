#include "kernels/gemm.h"

#include "kernels/onednn.h"
#include "kernels/plain.h"
#include "kernels/scratch_pieces.h"
#include "kernels/simd.h"

namespace stopgrad::cpu {

namespace {
/// Without AVX-512 the library's product takes 1.2 to 2 times as long, but where b is transposed.
template <class T>
constexpr bool own_is_faster(bool transpose_b) {
  return std::is_same_v<T, float> && kVectorRegisters < 32 && !transpose_b;
}
}  // namespace

template <class T, class Out>
void run(const Gemm<T, Out>& g, Context& context) {
  if constexpr (!std::is_same_v<T, double>) {
    if (!own_is_faster<T>(g.transpose_b) && onednn::run(g, context)) return;
  }
  using A = Acc<T>;
  const int64_t a_count = int64_t{g.m} * g.k, b_count = int64_t{g.k} * g.n, c_count = int64_t{g.m} * g.n;
  const auto [a_piece, b_piece, bt_piece, c_piece] =
      scratch_pieces(context, {plain::wide_bytes<T>(a_count), plain::wide_bytes<T>(b_count),
                               g.transpose_b ? sizeof(A) * b_count : 0, plain::wide_bytes<Out>(c_count)});
  const A* const a = plain::wide(g.a, a_count, a_piece, context);
  const A* b = plain::wide(g.b, b_count, b_piece, context);
  if (g.transpose_b) b = plain::transpose(g.n, g.k, b, reinterpret_cast<A*>(bt_piece), context);
  A* const c = plain::wide_result(g.c, c_piece);
  if constexpr (plain::kWidened<Out>) {
    plain::gemm(g.m, g.n, g.k, g.transpose_a, a, b, c, false, context);
    plain::finish<Out>(c, g.m, g.n, g.c, g.bias, g.accumulate, context);
  } else {
    if (g.bias != nullptr) plain::start_with_bias(g.m, g.n, g.bias, c, g.accumulate);
    plain::gemm(g.m, g.n, g.k, g.transpose_a, a, b, c, g.accumulate || g.bias != nullptr, context);
  }
}

template void run(const Gemm<float, float>&, Context&);
template void run(const Gemm<bf16, bf16>&, Context&);
template void run(const Gemm<bf16, float>&, Context&);
template void run(const Gemm<double, double>&, Context&);

}  // namespace stopgrad::cpu
