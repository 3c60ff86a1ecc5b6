#include "models/moco.h"

#include "kernels/elementwise.h"
#include "kernels/memory.h"

namespace stopgrad {

Moco::Moco(const SimSiamConfig& config, const MocoConfig& moco)
    : SimSiam(config),
      momentum_(moco.momentum),
      target_(config.encoder),
      info_nce_(moco.temperature, candidates) {
  ENSURE(config.stop_gradient, "moco: the keys have no gradient that could be let through");
  ENSURE(views() == 2, "moco: two views are compared");
  queue_.shape = {moco.queue, encoder().projection_size()};
  queue_.init = {Init::normal, 1};
  queue_.trainable = false;
}

/// The keys' encoder starts as a copy, the queue as random directions.
void Moco::after_initialize() {
  target_.follow(encoder(), 0);
  Tape off(Tape::Mode::off);
  const Tensor unit = l2_normalize(off.input(queue_.value)).value;
  copy_on_device(unit.device(), queue_.value.raw(), unit.raw(), unit.bytes());
  if (queue_.compute.dtype() == DType::bf16)
    launch(unit.device(), Cast<float, bf16>{unit.count(), unit.data<float>(), queue_.compute.data<bf16>()});
}

std::vector<Var> Moco::targets(Tape& tape, const Tensor& views, const std::vector<View>&) {
  return target_.project(tape, views, config().form);
}

Var Moco::compare(const std::vector<View>& online, const std::vector<Var>& target) {
  std::vector<Var> p, z;
  for (auto [i, j] : directions()) {
    p.push_back(online[i].p);
    z.push_back(target[j]);
  }
  const Var q = join_rows(p);
  const Var queries = l2_normalize(q);
  const Var k = join_rows(z);
  const Var own = l2_normalize(k);
  const int rows = own.value.rows();
  ENSURE(queue_.shape[0] % rows == 0, "moco: a queue of {} keys is no multiple of the {} of a step",
         queue_.shape[0], rows);
  if (!keys_.defined() || keys_.shape() != own.shape())
    keys_ = Tensor(queue_.value.pool(), own.shape(), own.dtype());
  copy_on_device(keys_.device(), keys_.raw(), own.value.raw(), keys_.bytes());
  const Var queue = q.tape->input(queue_.compute, "queue");
  const Var keys = join_rows({own, queue});
  return info_nce_.loss(queries, keys);
}

/// By the host, which knows the place: in a graph it would be a fixed one.
void Moco::after_step(double) {
  target_.follow(encoder(), momentum_);
  if (!keys_.defined()) return;
  const int64_t end = next_ + keys_.shape()[0];
  const Tensor value = queue_.value.part(next_, end), compute = queue_.compute.part(next_, end);
  copy_on_device(keys_.device(), compute.raw(), keys_.raw(), keys_.bytes());
  if (compute.dtype() == DType::bf16)
    launch(keys_.device(), Cast<bf16, float>{keys_.count(), keys_.data<bf16>(), value.data<float>()});
  next_ = end % queue_.shape[0];
}

void Moco::visit(Visitor& v) {
  SimSiam::visit(v);
  target_.visit(v);
  v.parameter("queue", queue_);
  v.counter("queue.next", next_);
}

}  // namespace stopgrad
