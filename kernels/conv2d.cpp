#include "kernels/conv2d.h"

#include <type_traits>

#include "kernels/onednn.h"
#include "kernels/plain.h"
#include "kernels/scratch_pieces.h"
#include "kernels/winograd.h"

// Float takes Winograd where it is faster, else the library; bf16 the library; what it lacks, and double, the
// plain loops.

namespace stopgrad::cpu {

namespace {

/// Elements of the call's tensors.
struct Counts {
  int64_t x, w, y;
  explicit Counts(const ConvShape& s)
      : x(int64_t{s.images} * s.height * s.width * s.channels),
        w(int64_t{s.out_channels} * s.kernel * s.kernel * s.channels),
        y(int64_t{s.images} * s.out_height() * s.out_width() * s.out_channels) {}
};

/// Whether Winograd took the call.
template <class Call>
bool by_winograd(const Call& call, Context& context) {
  if (context.exact() || !winograd::suits(call.shape)) return false;
  winograd::run(call, context);
  return true;
}

}  // namespace

template <class T>
void run(const ConvForward<T>& call, Context& context) {
  if constexpr (std::is_same_v<T, float>) {
    if (by_winograd(call, context)) return;
  }
  if constexpr (!std::is_same_v<T, double>) {
    if (onednn::run(call, context)) return;
  }
  using plain::wide, plain::wide_bytes;
  const ConvShape& s = call.shape;
  const Counts n(s);
  const auto [wt_piece, x_piece, w_piece, y_piece] = scratch_pieces(
      context, {sizeof(Acc<T>) * n.w, wide_bytes<T>(n.x), wide_bytes<T>(n.w), wide_bytes<T>(n.y)});
  const Acc<T>* const wt =
      plain::transpose(s.out_channels, s.kernel * s.kernel * s.channels, wide(call.w, n.w, w_piece, context),
                       reinterpret_cast<Acc<T>*>(wt_piece), context);
  Acc<T>* const y = plain::wide_result(call.y, y_piece);
  plain::conv_forward(s, wide(call.x, n.x, x_piece, context), wt, y, context);
  if constexpr (plain::kWidened<T>) {
    plain::finish<T>(y, n.y / s.out_channels, s.out_channels, call.y, nullptr, false, context);
  }
}

template <class T>
void run(const ConvBackwardInput<T>& call, Context& context) {
  if constexpr (std::is_same_v<T, float>) {
    if (by_winograd(call, context)) return;
  }
  if constexpr (!std::is_same_v<T, double>) {
    if (onednn::run(call, context)) return;
  }
  using plain::wide, plain::wide_bytes;
  const ConvShape& s = call.shape;
  const Counts n(s);
  const auto [dy_piece, w_piece, dx_piece] =
      scratch_pieces(context, {wide_bytes<T>(n.y), wide_bytes<T>(n.w), wide_bytes<T>(n.x)});
  Acc<T>* const dx = plain::wide_result(call.dx, dx_piece);
  plain::conv_backward_input(s, wide(call.dy, n.y, dy_piece, context), wide(call.w, n.w, w_piece, context),
                             dx, call.accumulate && !plain::kWidened<T>, context);
  if constexpr (plain::kWidened<T>) {
    plain::finish<T>(dx, n.x / s.channels, s.channels, call.dx, nullptr, call.accumulate, context);
  }
}

template <class T>
void run(const ConvBackwardWeight<T>& call, Context& context) {
  if constexpr (std::is_same_v<T, float>) {
    if (by_winograd(call, context)) return;
  }
  if constexpr (!std::is_same_v<T, double>) {
    if (onednn::run(call, context)) return;
  }
  using plain::wide, plain::wide_bytes;
  const Counts n(call.shape);
  const auto [x_piece, dy_piece] = scratch_pieces(context, {wide_bytes<T>(n.x), wide_bytes<T>(n.y)});
  plain::conv_backward_weight(call.shape, wide(call.x, n.x, x_piece, context),
                              wide(call.dy, n.y, dy_piece, context), call.dw, call.accumulate, context);
}

template void run(const ConvForward<float>&, Context&);
template void run(const ConvForward<bf16>&, Context&);
template void run(const ConvForward<double>&, Context&);
template void run(const ConvBackwardInput<float>&, Context&);
template void run(const ConvBackwardInput<bf16>&, Context&);
template void run(const ConvBackwardInput<double>&, Context&);
template void run(const ConvBackwardWeight<float>&, Context&);
template void run(const ConvBackwardWeight<bf16>&, Context&);
template void run(const ConvBackwardWeight<double>&, Context&);

}  // namespace stopgrad::cpu
