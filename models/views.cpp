#include "models/views.h"

#include "engine/ops.h"

namespace stopgrad {

namespace {
/// [V, N, H, W, C] -> [V * N, H, W, C]
Tensor flatten_views(const Tensor& views) {
  const Shape& s = views.shape();
  return views.reshape({s[0] * s[1], s[2], s[3], s[4]});
}
}  // namespace

std::vector<View> per_view(Tape& tape, const Tensor& views, ViewForm form, const ViewNetwork& network) {
  const int64_t count = views.shape()[0], batch = views.shape()[1];
  std::vector<View> out;
  if (form == ViewForm::branch) {
    for (int64_t v = 0; v < count; ++v) {
      Tape::Scope scope(tape, fmt::format("view {}", v + 1));
      Pass pass{tape};
      const Var x = tape.input(flatten_views(views.part(v, v + 1)), "view");
      out.push_back(network(pass, x));
    }
    return out;
  }
  Pass pass{.tape = tape, .groups = static_cast<int>(count)};
  const Var x = tape.input(flatten_views(views), "views");
  const View all = network(pass, x);
  for (int64_t v = 0; v < count; ++v) {
    Tape::Scope scope(tape, fmt::format("view {}", v + 1));
    View part;
    part.z = rows(all.z, v * batch, (v + 1) * batch);
    part.p = all.p.value.raw() == all.z.value.raw() ? part.z : rows(all.p, v * batch, (v + 1) * batch);
    out.push_back(part);
  }
  return out;
}

}  // namespace stopgrad
