#include "kernels/reduce.h"

#include <bit>

#include "kernels/rows.cuh"

namespace stopgrad::cuda {

namespace {

constexpr int kThreads = 256;

// An exponent of ones marks NaN and infinity, in bf16 too: its bits are the upper half of a float's.
__device__ __forceinline__ bool is_not_finite(float x) {
  return (std::bit_cast<uint32_t>(x) & 0x7f800000u) == 0x7f800000u;
}

/// Sum, sum of squares and how many are not finite: whole numbers up to 2^53 are exact in a double.
struct Part {
  double number[3];
};

template <class T>
__device__ __forceinline__ void put_summary(const Summary<T>& call, const double (&all)[3]) {
  if (call.sum) *call.sum = all[0];
  if (call.squares) *call.squares = all[1];
  if (call.not_finite) *call.not_finite = static_cast<int64_t>(all[2]);
}

/// Thread t takes packs t, t + threads, ... of the whole grid. `whole` moves them at once; else their
/// elements go to the same threads, so that a sum has the same bits at any address. Numbers that nobody asked
/// for are summed too: memory sets the pace, and a branch would come between loads.
template <class T, bool whole>
__global__ void __launch_bounds__(kThreads, 4) summary_parts(Summary<T> call, Part* parts) {
  await_previous_kernel();
  constexpr int P = Pack<T>::size;
  double sum = 0, squares = 0;
  int not_finite = 0;
  const auto add = [&](float x) {
    sum += x;
    squares = fma(double{x}, double{x}, squares);
    not_finite += is_not_finite(x);
  };
  const int64_t packs = call.count / P, step = int64_t{gridDim.x} * kThreads;
  int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x;
#pragma unroll 4
  for (int64_t left = (packs - i + step - 1) / step; left > 0; --left, i += step) {
    float v[P];
    if constexpr (whole) {
      load<P>(call.x + i * P, v);
    } else {
#pragma unroll
      for (int k = 0; k < P; ++k) v[k] = to_float(call.x[i * P + k]);
    }
#pragma unroll
    for (int k = 0; k < P; ++k) add(v[k]);
  }
  if (i == packs)  // the thread whose turn it is takes the rest
#pragma unroll 1
    for (int64_t at = packs * P; at < call.count; ++at) add(to_float(call.x[at]));
  double all[3] = {sum, squares, static_cast<double>(not_finite)};
  block_sum(all);
  if (threadIdx.x > 0) return;
  if (gridDim.x == 1) put_summary(call, all);
  else parts[blockIdx.x] = {{all[0], all[1], all[2]}};
}

template <class T>
__global__ void __launch_bounds__(kThreads) summary_finish(Summary<T> call, const Part* parts, int count) {
  await_previous_kernel();
  double all[3] = {};
  for (int i = static_cast<int>(threadIdx.x); i < count; i += kThreads)
#pragma unroll
    for (int k = 0; k < 3; ++k) all[k] += parts[i].number[k];
  block_sum(all);
  if (threadIdx.x == 0) put_summary(call, all);
}

}  // namespace

template <class T>
void run(const Summary<T>& call, Context& context) {
  const unsigned blocks = blocks_for(call.count, 4 * kThreads * Pack<T>::size, 1024);
  Part* const parts = context.scratch_of<Part>(blocks);
  if (aligned(call.x)) LAUNCH(context, (summary_parts<T, true>), blocks, kThreads, 0, call, parts);
  else LAUNCH(context, (summary_parts<T, false>), blocks, kThreads, 0, call, parts);
  if (blocks > 1) LAUNCH(context, (summary_finish<T>), 1, kThreads, 0, call, parts, static_cast<int>(blocks));
}

template void run(const Summary<float>&, Context&);
template void run(const Summary<bf16>&, Context&);

}  // namespace stopgrad::cuda
