#pragma once
// Parameters, buffers and momenta as one safetensors file, in PyTorch's shapes: convolutions [out, in, k, k],
// linear layers [out, in], batch counters as int64 scalars. Momenta carry the prefix "optim.momentum.".
#include <map>
#include <string>

#include "engine/module.h"

namespace stopgrad {

inline constexpr const char* kMomentumPrefix = "optim.momentum.";

using Metadata = std::map<std::string, std::string>;

/// Atomic: after a crash or a full disk the path holds the old file or the new one. Throws
/// Error(Exit::write).
void save_checkpoint(const std::string& path, const ParameterSlab& slab, const Metadata& metadata);

/// Fills a slab from a file and returns the file's metadata. Every name and shape must match: otherwise
/// Error(Exit::checkpoint) lists what is missing, unexpected and of another shape, and nothing is changed.
/// With `momenta` the file must hold them too, and all values must be finite (a run goes on).
Metadata load_checkpoint(const std::string& path, ParameterSlab& slab, bool momenta);

/// Only what `visit` shows, without momenta: a backbone for another program.
void export_weights(const std::string& path, const ParameterSlab::Visit& visit, const Metadata& metadata);

}  // namespace stopgrad
