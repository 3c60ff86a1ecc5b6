#pragma once
// Vectors of one register of the target, for the few inner loops that compilers do not vectorise well.
#include <cstring>

namespace stopgrad::cpu {

#if defined(__AVX512F__)
inline constexpr int kVectorBytes = 64;
inline constexpr int kVectorRegisters = 32;
#elif defined(__AVX__)
inline constexpr int kVectorBytes = 32;
inline constexpr int kVectorRegisters = 16;
#else
inline constexpr int kVectorBytes = 16;
inline constexpr int kVectorRegisters = 16;
#endif

template <class A>
struct VectorOf {
  typedef A type __attribute__((vector_size(kVectorBytes)));
};
template <class A>
using Vector = typename VectorOf<A>::type;
template <class A>
inline constexpr int kLanes = kVectorBytes / static_cast<int>(sizeof(A));

template <class A>
inline Vector<A> load(const A* from) {
  Vector<A> v;
  std::memcpy(&v, from, sizeof(v));
  return v;
}
template <class A>
inline void store(A* to, const Vector<A>& v) {
  std::memcpy(to, &v, sizeof(v));
}

}  // namespace stopgrad::cpu
