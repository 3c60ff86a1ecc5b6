#pragma once
// How much memory is left: Linux promises more than it has, and later kills whoever believed it.
#include <cstdint>
#include <string>

namespace stopgrad {

/// Bytes that this process can still fill before the kernel ends it: what is free or can be freed of the
/// machine's memory and swap, and of the limits of its control groups (version 1 or 2) and of its address
/// space (ulimit -v). INT64_MAX where nothing says. `root`: for tests, the folder that holds proc/ and sys/.
int64_t free_memory(const std::string& root = "");

/// Error(Exit::memory) that says `what` needs so many bytes, how many are free, and the `advice`.
void require_memory(int64_t bytes, const std::string& what, const std::string& advice);

}  // namespace stopgrad
