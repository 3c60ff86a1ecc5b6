#pragma once
// What the system says about this process.
#include <cstdint>

namespace stopgrad::bench {

/// Seconds since the process was started, to a hundredth (proc(5), /proc/self/stat).
double process_age();
/// Most memory it ever had, MiB.
int64_t peak_mib();

}  // namespace stopgrad::bench
