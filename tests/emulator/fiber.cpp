#include "tests/emulator/fiber.h"

#include <sys/mman.h>

#include <cstdlib>
#include <stdexcept>

#if defined(__x86_64__)
// Saves what the ABI asks a function to keep, changes stacks, restores: 14 instructions, no system call.
extern "C" void emulator_switch(void** save, void* to);
asm(R"(.text
.globl emulator_switch
.type emulator_switch,@function
emulator_switch:
 pushq %rbp
 pushq %rbx
 pushq %r12
 pushq %r13
 pushq %r14
 pushq %r15
 movq %rsp,(%rdi)
 movq %rsi,%rsp
 popq %r15
 popq %r14
 popq %r13
 popq %r12
 popq %rbx
 popq %rbp
 ret
.size emulator_switch,.-emulator_switch
.section .note.GNU-stack,"",@progbits
.text
)");
#endif

namespace emulator {

namespace {
constexpr size_t kPage = 4096;
#if defined(EMULATOR_ASAN) || defined(EMULATOR_TSAN)
constexpr size_t kStackBytes = 256 << 10;  // sanitizers widen every frame
#else
constexpr size_t kStackBytes = 64 << 10;
#endif

EMULATOR_UNWATCHED void change_stack(SavedContext& from, SavedContext& to) {
#if defined(__x86_64__)
  emulator_switch(&from.stack_pointer, to.stack_pointer);
#else
  swapcontext(&from.context, &to.context);
#endif
}
}  // namespace

Stack FiberHost::take_stack() {
  if (!free_.empty()) {
    const Stack stack = free_.back();
    free_.pop_back();
    return stack;
  }
  void* memory = mmap(nullptr, kStackBytes + kPage, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) throw std::runtime_error("emulator: no memory for a fiber's stack");
  mprotect(memory, kPage, PROT_NONE);
  return {static_cast<char*>(memory) + kPage, kStackBytes};
}

FiberHost::~FiberHost() {
  for (const Stack& stack : free_) munmap(stack.base - kPage, stack.bytes + kPage);
}

void FiberHost::enter() {
#ifdef EMULATOR_TSAN
  identity_ = __tsan_get_current_fiber();
#endif
}

EMULATOR_UNWATCHED void Fiber::start(FiberHost& host, void (*entry)(), [[maybe_unused]] int identity) {
#ifdef EMULATOR_TSAN
  identity_ = identity;
  if (identities_[identity] == nullptr) identities_[identity] = __tsan_create_fiber(0);
  if (stacks_[identity].base == nullptr) stacks_[identity] = host.take_stack();
  stack_ = stacks_[identity];
#else
  stack_ = host.take_stack();
#endif
#if defined(__x86_64__)
  auto** top = reinterpret_cast<void**>(stack_.base + stack_.bytes);
  *--top = nullptr;  // entry sees a stack aligned as after a call
  *--top = reinterpret_cast<void*>(entry);
  for (int kept = 0; kept < 6; ++kept) *--top = nullptr;
  saved_.stack_pointer = top;
#else
  getcontext(&saved_.context);
  saved_.context.uc_stack.ss_sp = stack_.base;
  saved_.context.uc_stack.ss_size = stack_.bytes;
  saved_.context.uc_link = nullptr;
  makecontext(&saved_.context, entry, 0);
#endif
}

EMULATOR_UNWATCHED void Fiber::resume(FiberHost& host) {
#ifdef EMULATOR_ASAN
  __sanitizer_start_switch_fiber(&host.fake_stack_, stack_.base, stack_.bytes);
#endif
#ifdef EMULATOR_TSAN
  __tsan_switch_to_fiber(identities_[identity_], 1);  // 1: the switch itself orders nothing
#endif
  change_stack(host.saved_, saved_);
#ifdef EMULATOR_ASAN
  __sanitizer_finish_switch_fiber(host.fake_stack_, nullptr, nullptr);
#endif
}

EMULATOR_UNWATCHED void Fiber::give_way(FiberHost& host, [[maybe_unused]] bool last) {
#ifdef EMULATOR_ASAN
  __sanitizer_start_switch_fiber(last ? nullptr : &fake_stack_, host.bottom_, host.bytes_);
#endif
#ifdef EMULATOR_TSAN
  __tsan_switch_to_fiber(host.identity_, 1);
#endif
  change_stack(saved_, host.saved_);
#ifdef EMULATOR_ASAN
  __sanitizer_finish_switch_fiber(fake_stack_, &host.bottom_, &host.bytes_);
#endif
}

EMULATOR_UNWATCHED void Fiber::arrive([[maybe_unused]] FiberHost& host) {
#ifdef EMULATOR_ASAN
  __sanitizer_finish_switch_fiber(nullptr, &host.bottom_, &host.bytes_);
#endif
}

void Fiber::retire(FiberHost& host, [[maybe_unused]] bool abandoned) {
  if (!has_stack()) return;
  open_memory(stack_.base, stack_.bytes);
#ifdef EMULATOR_TSAN
  if (abandoned) {  // somebody else continues on a stack of his own
    identities_[identity_] = nullptr;
    stacks_[identity_] = {};
  }
#else
  host.free_.push_back(stack_);
#endif
  stack_ = {};
}

}  // namespace emulator
