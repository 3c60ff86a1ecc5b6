#include "bench/step/cost.h"

#include <algorithm>
#include <string_view>

#include "bench/kernels/ceilings.h"

namespace stopgrad::bench {

namespace {

double bytes_of(const TapeEntry& e) {
  return static_cast<double>(e.shape.count()) * static_cast<double>(size_of(e.dtype));
}

/// Of the gradient of an entry: a parameter's is kept in the type of sums.
double gradient_bytes(const TapeEntry& e) {
  const DType type = e.parameter ? acc_of(e.dtype) : e.dtype;
  return static_cast<double>(e.shape.count()) * static_cast<double>(size_of(type));
}

/// Convolution and linear: y[rows, out] from a product over `depth`.
NodeCost matrix_cost(const TapeEntry& y, const TapeEntry& x, const TapeEntry& w) {
  const double depth = static_cast<double>(w.shape.count()) / static_cast<double>(y.shape.channels());
  const double flop = 2 * depth * static_cast<double>(y.shape.count());
  NodeCost out{.forward = {flop, bytes_of(x) + bytes_of(w) + bytes_of(y)}};
  if (w.wants_grad) out.backward.push_back({flop, bytes_of(x) + bytes_of(y) + gradient_bytes(w)});
  if (x.wants_grad) out.backward.push_back({flop, bytes_of(y) + bytes_of(w) + bytes_of(x)});
  return out;
}

}  // namespace

NodeCost cost_of(const std::vector<TapeEntry>& entries, int index) {
  const TapeEntry& y = entries[static_cast<size_t>(index)];
  const std::string_view name = y.name;
  if (y.inputs.empty() || y.wall || name == "rows" || name == "reshape") return {};  // nothing is computed
  const auto input = [&](size_t i) -> const TapeEntry& { return entries[static_cast<size_t>(y.inputs[i])]; };
  if (name == "conv2d" || name == "linear") return matrix_cost(y, input(0), input(1));
  NodeCost out{.forward = {.bytes = bytes_of(y)}};
  double gradients = 0, inputs = 0;
  for (const int i : y.inputs) {
    if (i < 0) continue;
    const TapeEntry& x = entries[static_cast<size_t>(i)];
    inputs += bytes_of(x);
    if (x.wants_grad) gradients += gradient_bytes(x);
  }
  out.forward.bytes += inputs;
  if (!y.wants_grad) return out;
  double saved = 0;  // what backward reads besides dy
  if (name == "batch_norm") saved = bytes_of(input(0));
  else if (name == "relu") saved = bytes_of(y);
  else if (name == "max_pool") saved = static_cast<double>(y.shape.count());  // a byte says who won
  else if (name != "add" && name != "scale" && name != "global_average_pool") saved = inputs;
  out.backward.push_back({.bytes = bytes_of(y) + saved + gradients});
  return out;
}

double Rates::floor(const Cost& cost) const {
  return std::max(cost.flop / flop_per_second, cost.bytes / bytes_per_second);
}

double Rates::floor(const std::vector<Cost>& calls) const {
  double sum = 0;
  for (const Cost& cost : calls) sum += floor(cost);
  return sum;
}

Rates measure_rates(const Device& device, DType activations) {
  const Ceilings ceilings = measure_ceilings(device);
  return {ceilings.matmul(activations == DType::bf16), ceilings.copy};
}

}  // namespace stopgrad::bench
