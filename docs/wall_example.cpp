// The wall in forty lines: SimSiam with an encoder and a predictor of one matrix each, so that every gradient
// can be checked by hand. Build it and run it: build/release/tools/wall_example
#include <fmt/format.h>

#include "engine/graph/view.h"
#include "engine/ops.h"

using namespace stopgrad;

namespace {

Parameter weight(const Pool& pool, const char* name, std::vector<float> values) {
  Parameter p{.shape = {2, 2}};
  p.name = name;
  p.value = p.compute = Tensor::of(pool, {2, 2}, values);
  p.grad = like(p.value);
  return p;
}

void show(bool wall) {
  cpu::Context context(1);
  const Pool pool(Device{.cpu = &context}, 1 << 16);
  Parameter f = weight(pool, "encoder", {1, 2, 0, 1}), h = weight(pool, "predictor", {1, 0, 1, 1});
  Tape tape;
  tape.measure_gradients(true);
  const Var x1 = tape.input(Tensor::of<float>(pool, {1, 2}, {1, 1}), "view 1");
  const Var x2 = tape.input(Tensor::of<float>(pool, {1, 2}, {1, -1}), "view 2");
  const Var z1 = linear(x1, f, nullptr);
  const Var z2 = linear(x2, f, nullptr);
  const Var p1 = linear(z1, h, nullptr);
  const Var target = wall ? detach(z2) : z2;
  const Var loss = cosine_loss({{p1, target}});
  tape.backward(loss);
  fmt::print("{}: loss {:+.4f}\n{}", wall ? "With the wall" : "Without the wall", loss.value.item(),
             to_text(tape));
  const std::vector<float> g = f.grad.to_vector<float>();
  fmt::print("gradient of the encoder: {:+.4f} {:+.4f} {:+.4f} {:+.4f}\n\n", g[0], g[1], g[2], g[3]);
}

}  // namespace

int main() {
  show(true);
  show(false);
}
