#include "tests/emulator/device_memory.h"

#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>

#include "tests/emulator/block.h"

namespace emulator {

namespace {

constexpr size_t kPage = 4096, kAlignment = 256;

struct Allocation {
  char* data;
  size_t bytes;
  char* mapping;  // fences included
  size_t mapped;
};

std::map<const char*, Allocation>& allocations() {
  static auto* const made =
      new std::map<const char*, Allocation>;  // outlives contexts that are static themselves
  return *made;
}
size_t in_use = 0, limit = size_t{256} << 20;
int scopes = 0;
bool is_open = false;  // all allocations, to host code too
const char* scope_name = "";

/// The last allocation that begins at or before `at`.
const Allocation* before(const void* at) {
  auto next = allocations().upper_bound(static_cast<const char*>(at));
  return next == allocations().begin() ? nullptr : &std::prev(next)->second;
}

#if defined(EMULATOR_ASAN)
void set_open(const Allocation& a, bool open) { (open ? open_memory : close_memory)(a.data, a.bytes); }
#elif defined(EMULATOR_TSAN)
void set_open(const Allocation&, bool) {}
#else
void set_open(const Allocation& a, bool open) {
  mprotect(a.mapping + kPage, a.mapped - 2 * kPage, open ? PROT_READ | PROT_WRITE : PROT_NONE);
}

size_t round_up(size_t bytes, size_t to) { return (bytes + to - 1) / to * to; }

/// Says what was touched and by whom, then lets the fault happen.
void explain_fault(int, siginfo_t* info, void*) {
  const auto* at = static_cast<const char*>(info->si_addr);
  const Allocation* near = before(at + kPage);
  char text[512];
  int length = 0;
  if (near && at >= near->mapping && at < near->mapping + near->mapped) {
    const Block& block = Block::current();
    const bool inside = at >= near->data && at < near->data + near->bytes;
    if (scopes == 0)
      length = std::snprintf(text, sizeof text, "emulator: host code touched device memory at %p\n",
                             info->si_addr);
    else if (!is_open)
      length =
          std::snprintf(text, sizeof text, "emulator: %s touched %p before it waited for the kernel before\n",
                        scope_name, info->si_addr);
    else
      length = std::snprintf(text, sizeof text, "emulator: %s touched %p, %s an allocation of %zu bytes%s\n",
                             scope_name, info->si_addr,
                             inside            ? "inside"
                             : at < near->data ? "before"
                                               : "past the end of",
                             near->bytes, block.thread ? "" : " (no kernel runs)");
  } else {
    length = std::snprintf(text, sizeof text, "emulator: bad address %p (%s)\n", info->si_addr,
                           scopes ? scope_name : "host code");
  }
  if (write(STDERR_FILENO, text, static_cast<size_t>(length)) < 0) _exit(139);
  signal(SIGSEGV, SIG_DFL);
}

void explain_faults() {
  static bool done = false;
  if (done) return;
  done = true;
  struct sigaction action {};
  action.sa_sigaction = explain_fault;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  static char stack[64 << 10];  // a fiber's own may be the one that overflowed
  const stack_t alternate{stack, 0, sizeof stack};
  sigaltstack(&alternate, nullptr);
  sigaction(SIGSEGV, &action, nullptr);
}
#endif

}  // namespace

void* device_allocate(size_t bytes) {
  if (in_use + bytes > limit) return nullptr;
  Allocation made{};
  made.bytes = bytes;
#if defined(EMULATOR_ASAN) || defined(EMULATOR_TSAN)
  made.mapping = made.data = static_cast<char*>(std::malloc(bytes + kAlignment));
  made.data += (kAlignment - reinterpret_cast<uintptr_t>(made.data) % kAlignment) % kAlignment;
  made.mapped = bytes + kAlignment;
  std::memset(made.data, 0xff, bytes);
#ifdef EMULATOR_ASAN
  close_memory(made.mapping, made.mapped);
#endif
#else
  explain_faults();
  const size_t room = round_up(std::max<size_t>(bytes, 1), kAlignment);
  made.mapped = round_up(room, kPage) + 2 * kPage;
  void* const memory = mmap(nullptr, made.mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return nullptr;
  made.mapping = static_cast<char*>(memory);
  made.data = made.mapping + made.mapped - kPage - room;  // its end touches the fence
  mprotect(made.mapping, kPage, PROT_NONE);
  mprotect(made.mapping + made.mapped - kPage, kPage, PROT_NONE);
  std::memset(made.data, 0xff, bytes);
#endif
  in_use += bytes;
  set_open(made, is_open);
  allocations()[made.data] = made;
  return made.data;
}

bool device_free(void* at) {
  const auto found = allocations().find(static_cast<char*>(at));
  if (found == allocations().end()) return false;
  const Allocation& a = found->second;
  in_use -= a.bytes;
#if defined(EMULATOR_ASAN) || defined(EMULATOR_TSAN)
  open_memory(a.mapping, a.mapped);
  std::free(a.mapping);
#else
  munmap(a.mapping, a.mapped);
#endif
  allocations().erase(found);
  return true;
}

void device_free_all() {
  while (!allocations().empty()) device_free(allocations().begin()->second.data);
}

bool on_device(const void* at, size_t bytes) {
  const Allocation* near = before(at);
  const auto* address = static_cast<const char*>(at);
  return near && address + bytes <= near->data + near->bytes;
}

size_t device_bytes_in_use() { return in_use; }
void set_device_bytes(size_t bytes) { limit = bytes; }
size_t device_bytes() { return limit; }

void check_device_pointer(const char* kernel, int number, const void* pointer) {
  if (pointer == nullptr || on_device(pointer, 0)) return;
  throw Error(std::string(kernel) + ": argument " + std::to_string(number) +
              " points to memory of the host, or to freed memory");
}

/// Numbers in a struct may look like addresses; only those of mapped pages outside the device are taken for
/// one, from 2^46 on: below that lie no heap and no stack, but sanitizers' shadows do.
void check_words(const char* kernel, int number, const void* words, size_t bytes) {
  for (size_t at = 0; at + sizeof(uintptr_t) <= bytes; at += sizeof(uintptr_t)) {
    uintptr_t word;
    std::memcpy(&word, static_cast<const char*>(words) + at, sizeof word);
    if (word < uintptr_t{1} << 46 || word >= uintptr_t{1} << 47) continue;
    unsigned char resident;
    auto* const page = reinterpret_cast<void*>(word / kPage * kPage);
    if (mincore(page, 1, &resident) != 0) continue;
    check_device_pointer(kernel, number, reinterpret_cast<const void*>(word));
  }
}

namespace {
/// Closing costs two system calls per allocation and kernel: all of the first, then a sample.
bool leaves_open(int64_t& scopes_so_far) { return ++scopes_so_far > 2000 && scopes_so_far % 16 != 0; }
void set_all(bool open) {
  if (is_open == open) return;
  for (const auto& [at, allocation] : allocations()) set_open(allocation, open);
  is_open = open;
}
}  // namespace

DeviceScope::DeviceScope(const char* what) {
  if (scopes++ > 0) return;
  scope_name = what;
  set_all(true);
}

DeviceScope::~DeviceScope() {
  static int64_t so_far = 0;
  if (--scopes == 0 && !leaves_open(so_far)) set_all(false);
}

ClosedScope::ClosedScope() {
  static int64_t so_far = 0;
  if (!leaves_open(so_far)) set_all(false);
}
ClosedScope::~ClosedScope() { set_all(true); }

}  // namespace emulator
