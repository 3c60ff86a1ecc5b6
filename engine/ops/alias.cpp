// Other names for memory that is there: nothing is computed, in either direction.
#include "engine/ops.h"

namespace stopgrad {

Var rows(const Var& x, int64_t begin, int64_t end) {
  return x.tape->record_alias(x, x.value.part(begin, end), "rows");
}

Var reshape(const Var& x, Shape shape) { return x.tape->record_alias(x, x.value.reshape(shape), "reshape"); }

}  // namespace stopgrad
