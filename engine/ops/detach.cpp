#include "engine/ops.h"

namespace stopgrad {

// Stop-gradient is a node and not the absence of one: it is printed, drawn and tested.
//
// The value passes: y is x's memory, nothing is computed. The gradient does not, because the wall's entry
// says wants_grad = false whatever x wants. All else follows from that, in engine/tape.cpp:
// - A node that reads a wall hears Grads::wants(i) == false for it and computes nothing for that side: the
//   cosine loss gets a null pointer for the gradient of its target.
// - A node that reads nothing but walls and constants wants no gradient either; its backward is not kept.
// - What leads to nothing but walls gets no gradient; backward frees what it saved and goes on.
Var detach(const Var& x) { return x.tape->record_wall(x); }

}  // namespace stopgrad
