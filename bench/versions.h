#pragma once
// What a figure was measured with, as one line: commit, compiler, libraries.
#include <string>

#include "kernels/launch.h"

namespace stopgrad::bench {

std::string versions(const Device& device);

}  // namespace stopgrad::bench
