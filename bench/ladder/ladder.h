#pragma once
// A ladder is one call written several times, from the way its formulas read to what kernels/ ships. Version
// n + 1 changes one idea of version n; the last version is the call itself.
#include <span>

#include "kernels/cuda_context.h"

namespace stopgrad::ladder {

template <class Call>
struct Version {
  const char* name;  // of its file; "shipped" for the call itself
  double bytes;      // that it asks memory for, per element of its topic
  void (*run)(const Call&, cuda::Context&);
};

/// The versions of a call from the first to the last; a topic's .cu defines them for float and bf16.
template <class Call>
std::span<const Version<Call>> versions();

}  // namespace stopgrad::ladder
