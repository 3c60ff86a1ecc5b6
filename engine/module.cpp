#include "engine/module.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "kernels/elementwise.h"
#include "kernels/hash.h"
#include "kernels/philox.h"

namespace stopgrad {

namespace {

constexpr int64_t kEntryAlignment = 64;  // elements: 256 bytes of float

int64_t padded(int64_t count) { return (count + kEntryAlignment - 1) / kEntryAlignment * kEntryAlignment; }

/// Two independent uniforms in (0, 1] and [0, 1).
std::pair<double, double> two_uniforms(uint64_t seed, uint64_t place, int64_t i) {
  const Philox p =
      philox(seed, Purpose::init, static_cast<uint32_t>(place), static_cast<uint32_t>(place >> 32),
             static_cast<uint32_t>(i), static_cast<uint32_t>(i >> 32));
  const double a = (p.v[0] + 1.0) * 0x1p-32;
  const double b = (p.v[1] + p.v[2] * 0x1p-32) * 0x1p-32;
  return {a, b};
}

double start_value(const Init& init, uint64_t seed, uint64_t place, int64_t i) {
  if (init.kind == Init::constant) return init.scale;
  const auto [a, b] = two_uniforms(seed, place, i);
  if (init.kind == Init::uniform) return init.scale * (2 * b - 1);
  return init.scale * std::sqrt(-2 * std::log(a)) * std::cos(2 * M_PI * b);  // Box-Muller
}

void set_all(const Tensor& tensor, double value) {
  visit_float(tensor.dtype(), [&](auto zero) {
    using T = decltype(zero);
    if constexpr (!std::is_same_v<T, bf16>)
      launch(tensor.device(), Fill<T>{tensor.count(), static_cast<T>(value), tensor.data<T>()});
  });
}

}  // namespace

ParameterSlab::ParameterSlab(Pool pool, DType activations, const Visit& visit) : activations_(activations) {
  const DType sums = acc_of(activations);
  int64_t size = 0;
  std::set<std::string> names;
  Visitor collect;
  collect.parameter = [&](const std::string& name, Parameter& p) {
    ENSURE(names.insert(name).second, "module: two entries are called {}", name);
    p.name = name;
    parameters_.push_back(&p);
    offsets_.push_back(size);
    size += padded(p.shape.count());
  };
  collect.buffer = [&](const std::string& name, Buffer& b) {
    ENSURE(names.insert(name).second, "module: two entries are called {}", name);
    b.name = name;
    b.value = Tensor(pool, b.shape, sums);
    set_all(b.value, b.start);
    buffers_.push_back(&b);
  };
  collect.counter = [&](const std::string& name, int64_t& n) { counters_.emplace_back(name, &n); };
  visit(collect);

  for (Tensor* slab : {&values, &gradients, &momenta}) {
    *slab = Tensor(pool, {size}, sums);
    slab->fill_zero();
  }
  compute = values;
  if (activations != sums) {
    compute = Tensor(pool, {size}, activations);
    compute.fill_zero();
  }
  for (size_t i = 0; i < parameters_.size(); ++i) {
    Parameter& p = *parameters_[i];
    p.value = values.slice(offsets_[i], p.shape);
    p.grad = gradients.slice(offsets_[i], p.shape);
    p.momentum = momenta.slice(offsets_[i], p.shape);
    p.compute = compute.slice(offsets_[i], p.shape);
  }
}

void ParameterSlab::initialize(uint64_t seed) {
  for (Parameter* p : parameters_) {
    const uint64_t place = fnv1a(p->name);  // the name's place in the space of random numbers
    visit_float(p->value.dtype(), [&](auto zero) {
      using T = decltype(zero);
      std::vector<T> start(static_cast<size_t>(p->shape.count()));
      for (size_t i = 0; i < start.size(); ++i)
        start[i] =
            static_cast<T>(static_cast<Acc<T>>(start_value(p->init, seed, place, static_cast<int64_t>(i))));
      p->value.from_host(start.data());
    });
  }
  refresh_compute();
}

void ParameterSlab::refresh_compute() {
  if (activations_ != DType::bf16) return;
  launch(values.device(), Cast<float, bf16>{values.count(), values.data<float>(), compute.data<bf16>()});
}

void ParameterSlab::clear_gradients() {
  for (Parameter* p : parameters_) p->has_grad = false;
}

void ParameterSlab::zero_missing_gradients() {
  for (Parameter* p : parameters_)
    if (p->trainable && !p->has_grad) {
      p->grad.fill_zero();
      p->has_grad = true;
    }
}

SlabRange ParameterSlab::extent(size_t i) const {
  const Parameter& p = *parameters_[i];
  return {offsets_[i], offsets_[i] + padded(p.shape.count()), p.fixed_rate};
}

std::vector<SlabRange> ParameterSlab::ranges() const {
  std::vector<SlabRange> out;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    if (!parameters_[i]->trainable) continue;
    const SlabRange next = extent(i);
    if (!out.empty() && out.back().end == next.begin && out.back().fixed_rate == next.fixed_rate)
      out.back().end = next.end;
    else out.push_back(next);
  }
  return out;
}

int64_t ParameterSlab::parameter_count() const {
  int64_t n = 0;
  for (const Parameter* p : parameters_) n += p->shape.count();
  return n;
}

std::string short_count(int64_t n) {
  if (n >= 1000000) return fmt::format("{:.1f} M", static_cast<double>(n) / 1e6);
  if (n >= 10000) return fmt::format("{:.1f} k", static_cast<double>(n) / 1e3);
  return fmt::format("{}", n);
}

}  // namespace stopgrad
