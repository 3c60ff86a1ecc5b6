#pragma once
// Nodes, entries and links of a picture are numbered by int, because -1 stands for none.
#include <cstddef>

namespace stopgrad {

/// A number as the place in a std::vector.
inline size_t at(int i) { return static_cast<size_t>(i); }

}  // namespace stopgrad
