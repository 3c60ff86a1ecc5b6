#pragma once
// The ceilings of a run that is made of several processes, in a file that each reads and leaves at their
// best.
#include <optional>
#include <string>

#include "bench/kernels/ceilings.h"

namespace stopgrad::bench {

/// Nothing where there is no such file, or one of another machine. Error(Exit::data) when it cannot be read.
std::optional<Ceilings> read_ceilings(const std::string& path, const std::string& machine);

/// Replaces the file in one step. Error(Exit::write) when it cannot be written.
void write_ceilings(const std::string& path, const std::string& machine, const Ceilings& ceilings);

}  // namespace stopgrad::bench
