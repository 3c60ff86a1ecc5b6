#include "engine/tape.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "kernels/elementwise.h"
#include "kernels/profile.h"
#include "kernels/reduce.h"

namespace stopgrad {

bool Grads::wants(int input) const {
  const int index = tape_.entries_[node_].inputs[input];
  return index >= 0 && tape_.entries_[index].wants_grad;
}

Tensor Grads::slot_tensor(int input, bool& accumulate) {
  const TapeEntry& entry = tape_.entries_[node_];
  ENSURE(!(asked_ >> input & 1), "tape: node #{} {} asked twice for input {}", node_, entry.name, input);
  asked_ |= uint64_t{1} << input;
  return tape_.slot(entry.inputs[input], accumulate);
}

Tape::Scope::Scope(Tape& tape, const std::string& name) : tape_(tape), length_(tape.scope_.size()) {
  if (!tape.scope_.empty()) tape.scope_ += '/';
  tape.scope_ += name;
}

int Tape::add_entry(TapeEntry entry, const Tensor& value) {
  ENSURE(!used_, "tape: backward has run; record the next step on a new tape");
  entry.scope = scope_;
  entry.shape = value.shape();
  entry.dtype = value.dtype();
  entries_.push_back(std::move(entry));
  nodes_.emplace_back();
  gradients_.push_back({.of = value.raw()});
  const int index = static_cast<int>(entries_.size()) - 1;
  mark(TapeObserver::Mark::recorded, index);
  return index;
}

/// A Var that outlived its tape may name this one again, which can lie at the same address. But it keeps its
/// memory, so no value recorded since lies there.
int Tape::index_of(const Var& x, const char* operation) const {
  if (x.index < 0) return -1;
  ENSURE(x.tape == this && x.index < static_cast<int>(entries_.size()) &&
             gradients_[x.index].of == x.value.raw(),
         "{}: its input {} was recorded as #{} of another tape, so no gradient would find it; record it "
         "again on this tape, or pass its value as a constant: tape.input(x.value)",
         operation, x.shape(), x.index);
  return x.index;
}

Var Tape::input(const Tensor& value, const char* name) {
  if (!recording()) return {value, this, -1};
  return {value, this, add_entry({.name = name}, value)};
}

Var Tape::variable(const Tensor& value, const char* name) {
  if (!recording()) return {value, this, -1};
  const int index = add_entry({.name = name, .wants_grad = true}, value);
  gradients_.back().keep = true;
  return {value, this, index};
}

Var Tape::leaf(Parameter& p) {
  if (!recording()) return {p.compute, this, -1};
  auto [place, fresh] = leaves_.try_emplace(&p, -1);
  if (fresh)
    place->second = add_entry(
        {.name = "parameter", .detail = p.name, .wants_grad = p.trainable, .parameter = &p}, p.compute);
  return {p.compute, this, place->second};
}

Var Tape::record(const Tensor& value, std::unique_ptr<Node> node, const std::vector<Var>& inputs) {
  ENSURE(inputs.size() <= Grads::kMostInputs, "{}: {} inputs, at most {} are possible", node->name(),
         inputs.size(), Grads::kMostInputs);
  TapeEntry entry{.name = node->name()};
  for (const Var& x : inputs) {
    entry.inputs.push_back(index_of(x, entry.name));
    entry.wants_grad |= x.index >= 0 && entries_[x.index].wants_grad;
  }
  if (!recording()) return {value, this, -1};
  entry.detail = node->detail();
  const bool wanted = entry.wants_grad;
  const int index = add_entry(std::move(entry), value);
  if (wanted) nodes_.back() = std::move(node);
  return {value, this, index};
}

Var Tape::record_wall(const Var& x) {
  const int behind = index_of(x, "detach");
  if (!recording()) return {x.value, this, -1};
  const int index = add_entry({.name = "detach", .inputs = {behind}, .wall = true}, x.value);
  return {x.value, this, index};
}

Var Tape::record_alias(const Var& x, const Tensor& part, const char* name) {
  if (index_of(x, name) < 0) return {part, this, -1};
  const int base = x.index;
  const auto offset = static_cast<const char*>(part.raw()) - static_cast<const char*>(x.value.raw());
  const bool wants_grad = entries_[base].wants_grad;
  const int index = add_entry({.name = name, .inputs = {x.index}, .wants_grad = wants_grad}, part);
  Gradient& mine = gradients_.back();
  const Gradient& its = gradients_[base];
  mine.alias_of = its.alias_of >= 0 ? its.alias_of : x.index;
  mine.alias_begin = its.alias_begin + offset / static_cast<int64_t>(size_of(part.dtype()));
  return {part, this, index};
}

void Tape::fill_rest_with_zero(Gradient& g) {
  if (g.complete) return;
  std::sort(g.parts.begin(), g.parts.end());
  int64_t done = 0;
  auto zero = [&](int64_t begin, int64_t end) {
    if (begin < end) g.place.slice(begin, {end - begin}).fill_zero();
  };
  for (auto [begin, end] : g.parts) {
    zero(done, begin);
    done = std::max(done, end);
  }
  zero(done, g.place.count());
  g.parts.clear();
  g.complete = true;
}

/// Where the gradient of an entry lives: a parameter's in its range of the slab, which may hold an earlier
/// tape's already, any other's in a tensor that is made for it now.
Tape::Gradient& Tape::place_of(int index) {
  Gradient& g = gradients_[index];
  entries_[index].got_grad = true;
  if (g.place.defined()) return g;
  if (Parameter* p = entries_[index].parameter) {
    g.place = p->grad;
    g.complete = std::exchange(p->has_grad, true);
  } else {
    g.place = Tensor(*pool_, entries_[index].shape, entries_[index].dtype);
  }
  return g;
}

/// The one place where it is decided whether a gradient is written or added. The first write to an element
/// sets it, later ones add; what nobody wrote is zero. A part (rows, reshape) has no gradient of its own: it
/// writes into its range of the whole's.
Tensor Tape::slot(int index, bool& accumulate) {
  TapeEntry& entry = entries_[index];
  const Gradient& mine = gradients_[index];
  entry.got_grad = true;
  Gradient& whole = place_of(mine.alias_of >= 0 ? mine.alias_of : index);
  const int64_t begin = mine.alias_begin, end = begin + entry.shape.count();
  const bool everything = begin == 0 && end == whole.place.count();
  bool overlaps = false;
  for (auto [b, e] : whole.parts) overlaps |= begin < e && b < end;
  accumulate = whole.complete || overlaps || (everything && !whole.parts.empty());
  if (accumulate) fill_rest_with_zero(whole);
  else if (everything) whole.complete = true;
  else whole.parts.emplace_back(begin, end);
  return whole.place.slice(begin, entry.shape);
}

void Tape::observe(int index, const Tensor& gradient) {
  if (!measure_ && !check_finite_) return;
  TapeEntry& entry = entries_[index];
  const Tensor squares(gradient.pool(), {1}, DType::f64), odd(gradient.pool(), {1}, DType::i64);
  visit_float(gradient.dtype(), [&](auto zero) {
    using T = decltype(zero);
    launch(gradient.device(), Summary<T>{gradient.count(), gradient.data<T>(), nullptr,
                                         squares.data<double>(), odd.data<int64_t>()});
  });
  entry.grad_norm = std::sqrt(squares.item());
  const int64_t not_finite = odd.to_vector<int64_t>()[0];
  if (check_finite_ && not_finite > 0)
    fail(Exit::diverged, "backward: {} of {} values of the gradient of #{} {} ({}) are not finite",
         not_finite, gradient.count(), index, entry.name, entry.scope);
}

void Tape::run_node(int index) {
  TapeEntry& entry = entries_[index];
  Gradient& g = gradients_[index];
  if (!entry.got_grad) {
    nodes_[index].reset();  // nothing arrived: its saved tensors go all the same
    return;
  }
  if (g.alias_of >= 0) {
    const Gradient& whole = gradients_[g.alias_of];
    return observe(index, whole.place.slice(g.alias_begin, entry.shape));
  }
  fill_rest_with_zero(g);
  observe(index, g.place);
  if (nodes_[index]) {
    const ProfileRange range(entry.name);
    mark(TapeObserver::Mark::backward_begins, index);
    Grads grads(*this, index);
    nodes_[index]->backward(g.place, grads);
    for (int k = 0; k < static_cast<int>(entry.inputs.size()); ++k)
      ENSURE(!grads.wants(k) || (grads.asked_ >> k & 1), "tape: node #{} {} gave no gradient to its input {}",
             index, entry.name, k);
    nodes_[index].reset();
    mark(TapeObserver::Mark::backward_ends, index);
  }
  if (!g.keep) g.place = {};
}

void Tape::backward(const Var& loss) {
  ENSURE(recording() && index_of(loss, "backward") >= 0, "backward: the loss is not on this tape");
  ENSURE(loss.value.count() == 1, "backward: the loss has shape {}, not one value", loss.shape());
  ENSURE(!used_, "backward: a tape runs once; second derivatives are not recorded");
  ENSURE(entries_[loss.index].wants_grad, "backward: no parameter or variable lies behind the loss");
  used_ = true;
  pool_ = std::make_unique<Pool>(loss.value.pool());
  bool accumulate = false;
  const Tensor seed = slot(loss.index, accumulate);
  visit_float(seed.dtype(), [&](auto zero) {
    using T = decltype(zero);
    launch(seed.device(), Fill<T>{1, T(1), seed.data<T>()});
  });
  for (int i = loss.index; i >= 0; --i) run_node(i);
}

Tensor Tape::gradient(const Var& x) const {
  ENSURE(index_of(x, "gradient") >= 0, "gradient: the variable is not on this tape");
  return gradients_[x.index].place;
}

}  // namespace stopgrad
