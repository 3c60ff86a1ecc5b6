#include "bench/kernels/ceilings.h"

#include <algorithm>
#include <cstring>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "bench/kernels/subject.h"
#include "kernels/cpu_features.h"
#include "kernels/gemm.h"
#include "kernels/memory.h"
#include "tests/numbers.h"
#if defined(STOPGRAD_CUDA)
#include "kernels/cuda_context.h"
#endif

namespace stopgrad::bench {
namespace {

/// Past the caches where the processor can: ordinary stores read every line before they write it.
void stream(char* to, const char* from, size_t bytes) {
#if defined(__SSE2__)
  for (size_t i = 0; i < bytes; i += sizeof(__m128i))
    _mm_stream_si128(reinterpret_cast<__m128i*>(to + i),
                     _mm_load_si128(reinterpret_cast<const __m128i*>(from + i)));
  _mm_sfence();
#else
  std::memcpy(to, from, bytes);
#endif
}

using CopyPart = void (*)(char*, const char*, size_t);
void ordinary(char* to, const char* from, size_t bytes) { std::memcpy(to, from, bytes); }

void copy_by_threads(char* to, const char* from, size_t bytes, int threads, CopyPart copy) {
  const size_t part = bytes / size_t(threads) / 4096 * 4096;
#pragma omp parallel for num_threads(threads) schedule(static)
  for (int t = 0; t < threads; ++t) {
    const size_t begin = part * size_t(t), end = t + 1 == threads ? bytes : begin + part;
    copy(to + begin, from + begin, end - begin);
  }
}

double best(const std::vector<double>& seconds) { return *std::min_element(seconds.begin(), seconds.end()); }

double copy_rate(const Device& device, size_t bytes) {
  char* const from = static_cast<char*>(allocate_memory(device, 2 * bytes));
  ENSURE(from != nullptr, "bench_kernels: no memory for two buffers of {} MiB", bytes >> 20);
  char* const to = from + bytes;
  fill_memory(device, from, 1, 2 * bytes);
  double seconds = INFINITY;
  if (!device.is_cpu()) {
    seconds = best(time_each(device, 10, [&](int) { copy_on_device(device, to, from, bytes); }));
  } else {
    for (const CopyPart part : {stream, ordinary})
      seconds = std::min(seconds, best(time_each(device, 10, [&](int) {
                           copy_by_threads(to, from, bytes, device.cpu->threads(), part);
                         })));
  }
  free_memory(device, from, 2 * bytes);
  return 2.0 * double(bytes) / seconds;
}

/// Random numbers, which take more power than equal ones. The device copies a part of prime length over and
/// over: the host would take seconds for the matrices of a GPU.
template <class T>
void fill_random(const Device& device, T* to, size_t count, uint64_t seed) {
  size_t there = std::min<size_t>(count, 65521);
  const std::vector<T> part = test::random<T>(there, seed);
  copy_to_device(device, to, part.data(), there * sizeof(T));
  for (size_t more; there < count; there += more) {
    more = std::min(there, count - there);
    copy_on_device(device, to + there, to, more * sizeof(T));
  }
}

template <class T>
double matmul_rate(const Device& device, int side) {
  const size_t count = size_t(side) * size_t(side), bytes = 3 * count * sizeof(T);
  auto* const memory = static_cast<T*>(allocate_memory(device, bytes));
  ENSURE(memory != nullptr, "bench_kernels: no memory for matrices of {} x {}", side, side);
  fill_random(device, memory, 2 * count, 1);
  T* const product = memory + 2 * count;
  const Gemm<T, T> call{side, side, side, false, false, memory, memory + count, product, false, nullptr};
  const double seconds = best(time_each(device, 6, [&](int) { launch(device, call); }));
  free_memory(device, memory, bytes);
  return 2.0 * side * side * side / seconds;
}

}  // namespace

Ceilings best_of(const Ceilings& a, const Ceilings& b) {
  return {std::max(a.copy, b.copy), std::max(a.matmul_f32, b.matmul_f32),
          std::max(a.matmul_bf16, b.matmul_bf16)};
}

Ceilings measure_ceilings(const Device& device) {
#if defined(STOPGRAD_EMULATE)
  if (device.cuda)
    return {copy_rate(device, 1 << 16), matmul_rate<float>(device, 32), matmul_rate<bf16>(device, 32)};
#endif
  const size_t bytes = std::max(size_t{128} << 20, 4 * last_cache_bytes(device));
  const int side = device.is_cpu() ? 1024 : 8192;
  const bool fast_bf16 = !device.is_cpu() || cpu::bf16_is_fast_here();
  return {copy_rate(device, bytes), matmul_rate<float>(device, side),
          fast_bf16 ? matmul_rate<bf16>(device, side) : 0};
}

}  // namespace stopgrad::bench
