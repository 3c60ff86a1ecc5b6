#include "engine/ops.h"

namespace stopgrad {

// Stop-gradient is a node and not the absence of one: it is printed, drawn and tested. Nothing behind it is
// asked for a gradient through it, so the loss does not even compute that side.
Var detach(const Var& x) { return x.tape->record_wall(x); }

Var rows(const Var& x, int64_t begin, int64_t end) {
  return x.tape->record_alias(x, x.value.rows(begin, end), "rows");
}

Var reshape(const Var& x, Shape shape) { return x.tape->record_alias(x, x.value.reshape(shape), "reshape"); }

}  // namespace stopgrad
