#include "kernels/topk.h"

#include <algorithm>
#include <bit>

#include "kernels/check.h"
#include "kernels/cuda_support.cuh"

namespace stopgrad::cuda {

namespace {

constexpr int kThreads = 256, kWarps = kThreads / 32;
constexpr int kChunk = 4 * kThreads;  // values looked at together
constexpr size_t kMostSpare = size_t{256} << 20;

__device__ __forceinline__ bool before(float value, int64_t index, float other, int64_t other_index) {
  return value > other || (value == other && index < other_index);
}

/// The best k of one row, sorted, and behind them the newcomers that wait to be sorted in. What does not come
/// before the last of the best cannot be among them. One block works on it; its order is total, so that
/// neither the order of the newcomers nor that of the parts shows.
struct BestOfRow {
  int64_t* index;  // [room]
  float* value;
  int* passed;  // [2][kWarps]: newcomers of each warp, of this chunk and of the last
  int k, room;  // a power of two, at least k + kChunk
  int held;
  float bar;
  int64_t bar_index;

  static size_t bytes(int room) {
    return room * (sizeof(int64_t) + sizeof(float)) + 2 * kWarps * sizeof(int);
  }

  __device__ BestOfRow(unsigned char* memory, int k, int room)
      : index(reinterpret_cast<int64_t*>(memory)),
        value(reinterpret_cast<float*>(index + room)),
        passed(reinterpret_cast<int*>(value + room)),
        k(k),
        room(room) {}

  __device__ void begin(const TopK& call, int64_t row) {
    for (int n = static_cast<int>(threadIdx.x); n < k; n += kThreads) {
      value[n] = call.fresh ? -INFINITY : call.best[row * k + n];
      index[n] = call.fresh ? -1 : call.best_index[row * k + n];
    }
    __syncthreads();
    raise_bar();
  }
  __device__ void raise_bar() {
    held = k;
    bar = value[k - 1];
    bar_index = index[k - 1];
  }
  __device__ bool wants(float x, int64_t at) const { return before(x, at, bar, bar_index); }

  /// Sorts all that are held, bitonically, and keeps the best k.
  __device__ void merge() {
    int size = 2;
    while (size < held) size *= 2;
    for (int n = held + static_cast<int>(threadIdx.x); n < size; n += kThreads) {
      value[n] = -INFINITY;
      index[n] = -1;
    }
    for (int run = 2; run <= size; run *= 2)
      for (int stride = run / 2; stride > 0; stride /= 2) {
        __syncthreads();
        for (int pair = static_cast<int>(threadIdx.x); pair < size / 2; pair += kThreads) {
          const int a = 2 * pair - (pair & (stride - 1)), b = a + stride;
          const float x = value[a], y = value[b];
          const int64_t i = index[a], j = index[b];
          if ((a & run) == 0 ? !before(y, j, x, i) : !before(x, i, y, j)) continue;
          value[a] = y, value[b] = x;
          index[a] = j, index[b] = i;
        }
      }
    __syncthreads();
    raise_bar();
  }

  __device__ void end(const TopK& call, int64_t row) {
    if (held > k) merge();
    for (int n = static_cast<int>(threadIdx.x); n < k; n += kThreads) {
      call.best[row * k + n] = value[n];
      call.best_index[row * k + n] = index[n];
    }
  }
};

/// The four values of a thread in a chunk, packs of P side by side; NaN, which nobody wants, past the end.
template <int P>
struct Chunk {
  float value[4 / P][P];

  static __device__ int64_t column(int64_t begin, int u) {
    return begin + (int64_t{u} * kThreads + threadIdx.x) * P;
  }
  __device__ void load(const float* row, int64_t begin, int count) {
#pragma unroll
    for (int u = 0; u < 4 / P; ++u) {
#pragma unroll
      for (int k = 0; k < P; ++k) value[u][k] = NAN;
      if (column(begin, u) < count) cuda::load<P>(row + column(begin, u), value[u]);
    }
  }
};

/// Puts what is wanted of a chunk behind what is held, by warp, then by lane and column. `turn` alternates,
/// so that one barrier does: a slow thread may still read what the last call passed.
template <int P>
__device__ __forceinline__ void offer(BestOfRow& best, const Chunk<P>& chunk, int64_t begin, int64_t first,
                                      int& turn) {
  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  for (;;) {
    unsigned wanted[4];
    int mine = 0, total = 0, at = best.held;
#pragma unroll
    for (int n = 0; n < 4; ++n) {
      const int64_t item = first + Chunk<P>::column(begin, n / P) + n % P;
      wanted[n] = __ballot_sync(kAllLanes, best.wants(chunk.value[n / P][n % P], item));
      mine += __popc(wanted[n]);
    }
    turn ^= 1;
    if (lane == 0) best.passed[turn * kWarps + warp] = mine;
    __syncthreads();
#pragma unroll
    for (int w = 0; w < kWarps; ++w) {
      const int passed = best.passed[turn * kWarps + w];
      at += w < warp ? passed : 0;
      total += passed;
    }
    if (best.held + total > best.room) {  // raises the bar, then looks again
      best.merge();
      continue;
    }
#pragma unroll
    for (int n = 0; n < 4; ++n) {
      if (wanted[n] >> lane & 1) {
        const int place = at + __popc(wanted[n] & ((1u << lane) - 1));
        best.value[place] = chunk.value[n / P][n % P];
        best.index[place] = first + Chunk<P>::column(begin, n / P) + n % P;
      }
      at += __popc(wanted[n]);
    }
    best.held += total;
    return;
  }
}

/// One block per row, and more of them in turn where `spare`, memory for those whose k does not fit into
/// shared memory, has fewer places than rows.
template <int P, bool in_shared>
__global__ void __launch_bounds__(kThreads, in_shared ? 5 : 3)
    topk(TopK call, int room, unsigned char* spare, size_t spare_of_block) {
  await_previous_kernel();
  DYNAMIC_SHARED(unsigned char, shared);
  BestOfRow best(in_shared ? shared : spare + blockIdx.x * spare_of_block, call.k, room);
  int turn = 0;
  for (int64_t row = blockIdx.x; row < call.rows; row += gridDim.x) {
    const float* const values = call.values + row * call.count;
    Chunk<P> chunk, next;
    next.load(values, 0, call.count);
    best.begin(call, row);
    for (int64_t begin = 0; begin < call.count; begin += kChunk) {
      chunk = next;
      next.load(values, begin + kChunk, call.count);
      offer<P>(best, chunk, begin, call.first, turn);
    }
    best.end(call, row);
    __syncthreads();  // a slow thread may still read the bar of the last merge
  }
}

template <int P>
void run_topk(const TopK& call, Context& context) {
  const auto room = static_cast<int>(std::bit_ceil(static_cast<unsigned>(call.k) + kChunk));
  const size_t bytes = divide_up(BestOfRow::bytes(room), 16) * 16;
  if (bytes <= context.info().shared) {
    LAUNCH(context, (topk<P, true>), call.rows, kThreads, bytes, call, room, nullptr, 0);
  } else {
    const int fitting = static_cast<int>(std::max<size_t>(1, kMostSpare / bytes));
    const int blocks = std::min({call.rows, fitting, 4 * context.info().processors});
    auto* spare = context.scratch_of<unsigned char>(blocks * bytes);
    LAUNCH(context, (topk<P, false>), blocks, kThreads, 0, call, room, spare, bytes);
  }
}

}  // namespace

void run(const TopK& call, Context& context) {
  ENSURE(call.k > 0, "top k: k is {}, ask for at least one", call.k);
  ENSURE(call.k < 1 << 29, "top k: k is {}, a device sorts fewer than {}", call.k, 1 << 29);
  if (call.rows <= 0) return;
  if (call.count % 4 == 0 && aligned(call.values)) run_topk<4>(call, context);
  else run_topk<1>(call, context);
}

}  // namespace stopgrad::cuda
