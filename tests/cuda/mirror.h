#pragma once
// Host vectors and their copies on the device, each an allocation of its own, so that no bound goes unseen.
#include <catch2/catch.hpp>

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <vector>

#include "kernels/check.h"
#include "kernels/cuda_context.h"

namespace stopgrad::test {

/// One context for all tests. It is never destroyed: it opens cuDNN after it was made, so that at exit cuDNN
/// would be gone before the handle that is to be given back to it.
inline cuda::Context& device() {
  static cuda::Context& context = *new cuda::Context;
  return context;
}

class Mirror {
 public:
  Mirror() = default;
  ~Mirror() {
    for (const Copy& copy : copies_) device().free(copy.on_device);
  }
  Mirror(const Mirror&) = delete;
  Mirror& operator=(const Mirror&) = delete;

  /// Copies a vector to the device. Empty ones have no copy: pointers to them are null.
  template <class... V>
  void add(V&... vectors) {
    (add_one(vectors), ...);
  }
  /// Where the device keeps what `host` points to; null stays null.
  template <class T>
  T* operator()(T* host) const {
    if (host == nullptr) return nullptr;
    const auto* at = reinterpret_cast<const char*>(host);
    for (const Copy& copy : copies_)
      if (at >= copy.on_host && at < copy.on_host + copy.bytes)
        return reinterpret_cast<T*>(copy.on_device + (at - copy.on_host));
    fail(Exit::failed, "a pointer of the call is not in the mirror");
  }
  /// Points fields of a call to the device.
  template <class... P>
  void move(P&... pointers) const {
    ((pointers = (*this)(pointers)), ...);
  }
  /// Brings everything back into the vectors.
  void fetch() const {
    for (const Copy& copy : copies_)
      device().copy_to_host(const_cast<char*>(copy.on_host), copy.on_device, copy.bytes);
  }

 private:
  struct Copy {
    const char* on_host;
    char* on_device;
    size_t bytes;
  };
  template <class T>
  void add_one(std::vector<T>& vector) {
    if (vector.empty()) return;
    const size_t bytes = vector.size() * sizeof(T);
    auto* const memory = static_cast<char*>(device().allocate(bytes));
    device().copy_to_device(memory, vector.data(), bytes);
    copies_.push_back({reinterpret_cast<const char*>(vector.data()), memory, bytes});
  }

  std::vector<Copy> copies_;
};

/// False for shapes that a build of the emulated device is too slow for: ThreadSanitizer's takes a minute for
/// what the plain one does in a second, and small shapes have all the places where threads meet. The
/// environment's STOPGRAD_TEST_ELEMENTS sets another limit, for tools that slow a GPU down. Layers of `real`
/// networks are for GPUs, or for who sets the limit.
inline bool affordable(int64_t elements, [[maybe_unused]] bool real = false) {
  static const char* const told = std::getenv("STOPGRAD_TEST_ELEMENTS");
  if (told) return elements <= std::atoll(told);
#if defined(__SANITIZE_THREAD__)
  return !real && elements <= 1200;
#elif defined(__SANITIZE_ADDRESS__)
  return !real && elements <= 20000;
#elif defined(STOPGRAD_EMULATE)
  return !real;
#else
  return true;
#endif
}

/// Outputs start as NaN, so that a test sees what nobody wrote.
template <class T>
void fill_nan(std::vector<T>& vector) {
  std::fill_n(reinterpret_cast<unsigned char*>(vector.data()), vector.size() * sizeof(T),
              static_cast<unsigned char>(0xff));
}

}  // namespace stopgrad::test
