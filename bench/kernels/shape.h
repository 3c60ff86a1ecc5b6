#pragma once
// A shape of the user's own: "rows=4096,channels=256".
#include <map>
#include <string>

namespace stopgrad::bench {

/// Sizes by name. Error(Exit::usage) for text that is no such list, and for sizes below 1 (padding: below 0).
using Sizes = std::map<std::string, int>;
Sizes parse_sizes(const std::string& text);

}  // namespace stopgrad::bench
