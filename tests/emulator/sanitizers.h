#pragma once
// Which sanitizer watches, and how it is spoken to. ThreadSanitizer learns CUDA's rules of order from the
// emulator: see ordering.md in this folder.
#include <cstddef>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define EMULATOR_ASAN 1
#endif
#if __has_feature(thread_sanitizer)
#define EMULATOR_TSAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define EMULATOR_ASAN 1
#endif
#if defined(__SANITIZE_THREAD__)
#define EMULATOR_TSAN 1
#endif

#ifdef EMULATOR_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef EMULATOR_TSAN
extern "C" {
void* __tsan_get_current_fiber(void);
void* __tsan_create_fiber(unsigned flags);
void __tsan_destroy_fiber(void* fiber);
void __tsan_switch_to_fiber(void* fiber, unsigned flags);
void __tsan_acquire(void* tag);
void __tsan_release(void* tag);
void AnnotateIgnoreReadsBegin(const char* file, int line);
void AnnotateIgnoreReadsEnd(const char* file, int line);
void AnnotateIgnoreWritesBegin(const char* file, int line);
void AnnotateIgnoreWritesEnd(const char* file, int line);
}
/// For functions that switch stacks or keep the emulator's own books.
#define EMULATOR_UNWATCHED __attribute__((no_sanitize("thread")))
#else
#define EMULATOR_UNWATCHED
#endif

namespace emulator {

/// ThreadSanitizer looks away while one lives: fibers share the emulator's books without any order it knows
/// of.
struct Quiet {
#ifdef EMULATOR_TSAN
  EMULATOR_UNWATCHED Quiet() {
    AnnotateIgnoreReadsBegin(__FILE__, __LINE__);
    AnnotateIgnoreWritesBegin(__FILE__, __LINE__);
  }
  EMULATOR_UNWATCHED ~Quiet() {
    AnnotateIgnoreWritesEnd(__FILE__, __LINE__);
    AnnotateIgnoreReadsEnd(__FILE__, __LINE__);
  }
#else
  Quiet() {}
  ~Quiet() {}
#endif
  Quiet(const Quiet&) = delete;
  Quiet& operator=(const Quiet&) = delete;
};

#ifdef EMULATOR_TSAN
EMULATOR_UNWATCHED inline void acquire(void* tag) { __tsan_acquire(tag); }
EMULATOR_UNWATCHED inline void release(void* tag) { __tsan_release(tag); }
#else
inline void acquire(void*) {}
inline void release(void*) {}
#endif

#ifdef EMULATOR_ASAN
inline void close_memory(const void* at, size_t bytes) { __asan_poison_memory_region(at, bytes); }
inline void open_memory(const void* at, size_t bytes) { __asan_unpoison_memory_region(at, bytes); }
#else
inline void close_memory(const void*, size_t) {}
inline void open_memory(const void*, size_t) {}
#endif

}  // namespace emulator
