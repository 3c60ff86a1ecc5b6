#include "data/free_memory.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <optional>

#include "kernels/check.h"

namespace stopgrad {
namespace {

namespace fs = std::filesystem;

/// The number in a file that holds but one; nothing for "max" or a file that is not there.
std::optional<int64_t> number_in(const fs::path& file) {
  int64_t value = 0;
  std::ifstream in(file);
  if (in >> value && value >= 0) return value;
  return std::nullopt;
}

/// Of lines such as "MemAvailable:  123 kB" or "active_file 123": the sum of those numbers.
int64_t sum_in(const fs::path& file, std::initializer_list<std::string_view> names) {
  int64_t sum = 0;
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) {
    const size_t end = std::min(line.find_first_of(": "), line.size());
    if (std::find(names.begin(), names.end(), std::string_view(line).substr(0, end)) == names.end()) continue;
    const size_t digits = std::min(line.find_first_of("0123456789", end), line.size());
    int64_t value = 0;
    std::from_chars(line.data() + digits, line.data() + line.size(), value);
    sum += value;
  }
  return sum;
}

/// What one group leaves; copies of files that it holds in memory can be dropped at any time.
int64_t room_in(const fs::path& group, const char* limit, const char* usage,
                std::initializer_list<std::string_view> file_copies) {
  const auto most = number_in(group / limit), used = number_in(group / usage);
  if (!most || !used) return INT64_MAX;
  const int64_t held = std::max<int64_t>(0, *used - sum_in(group / "memory.stat", file_copies));
  return std::max<int64_t>(0, *most - held);
}

/// The least that the groups of this process leave, from its own up to the topmost one.
int64_t room_in_groups(const std::string& root) {
  int64_t room = INT64_MAX;
  std::ifstream groups(root + "/proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {  // number:controllers:/path
    const size_t first = line.find(':'), second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const bool second_version = controllers.empty();
    if (!second_version && ("," + controllers + ",").find(",memory,") == std::string::npos) continue;
    const std::string top = root + "/sys/fs/cgroup" + (second_version ? "" : "/memory");
    for (fs::path group = line.substr(second + 1);; group = group.parent_path()) {
      const fs::path folder = top + group.string();
      room = std::min(room, second_version ? room_in(folder, "memory.max", "memory.current",
                                                     {"active_file", "inactive_file"})
                                           : room_in(folder, "memory.limit_in_bytes", "memory.usage_in_bytes",
                                                     {"total_active_file", "total_inactive_file"}));
      if (!group.has_relative_path()) break;
    }
  }
  return room;
}

int64_t room_in_address_space(const std::string& root) {
  rlimit limit{};
  const auto pages = number_in(root + "/proc/self/statm");  // the first number: all that is mapped
  if (!pages || ::getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur >= INT64_MAX) return INT64_MAX;
  return std::max<int64_t>(0, static_cast<int64_t>(limit.rlim_cur) - *pages * ::sysconf(_SC_PAGESIZE));
}

}  // namespace

int64_t free_memory(const std::string& root) {
  const int64_t kilobytes = sum_in(root + "/proc/meminfo", {"MemAvailable", "SwapFree"});
  return std::min(
      {kilobytes > 0 ? kilobytes * 1024 : INT64_MAX, room_in_groups(root), room_in_address_space(root)});
}

void require_memory(int64_t bytes, const std::string& what, const std::string& advice) {
  const int64_t free = free_memory();
  if (bytes > free)
    fail(Exit::memory, "{} need {:.2f} GB of memory, {:.2f} are free; {}", what, bytes * 1e-9, free * 1e-9,
         advice);
}

}  // namespace stopgrad
