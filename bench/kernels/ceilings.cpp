#include "bench/kernels/ceilings.h"

#include <algorithm>
#include <cstring>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "bench/kernels/arena.h"
#include "bench/kernels/subject.h"
#include "kernels/cpu_features.h"
#include "kernels/gemm.h"
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

template <class T>
double matmul_rate(const Device& device, int side) {
  const auto make = [side](Arena& a) {
    const int64_t count = int64_t{side} * side;
    return Gemm<T, T>{
        side,  side,   side, false, false, a.random<T>(count, 1), a.random<T>(count, 2), a.output<T>(count),
        false, nullptr};
  };
  Arena sizes(nullptr);
  make(sizes);
  std::vector<char> host(sizes.bytes());
  Arena filled(host.data(), true);
  make(filled);
  auto* const memory = static_cast<char*>(allocate_memory(device, host.size()));
  ENSURE(memory != nullptr, "bench_kernels: no memory for matrices of {} x {}", side, side);
  copy_to_device(device, memory, host.data(), host.size());
  Arena there(memory);
  const Gemm<T, T> call = make(there);
  const double seconds = best(time_each(device, 6, [&](int) { launch(device, call); }));
  free_memory(device, memory, host.size());
  return 2.0 * side * side * side / seconds;
}

}  // namespace

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
