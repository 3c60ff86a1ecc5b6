#pragma once
// Elements to and from the type of sums, for the vectorised loops of the CPU schedules. By pointer: a copy of
// a bf16 object inside a loop keeps compilers from vectorising it.
#include "kernels/dtype.h"

namespace stopgrad::cpu {

template <class T>
Acc<T> load_element(const T* p) {
  return static_cast<Acc<T>>(*p);
}

inline void store_element(bf16* p, float value) { p->bits = bf16(value).bits; }
template <class T>
void store_element(T* p, T value) {
  *p = value;
}

/// p = value, or p += value.
template <class T>
void put_element(T* p, Acc<T> value, bool accumulate) {
  store_element(p, accumulate ? load_element(p) + value : value);
}

}  // namespace stopgrad::cpu
