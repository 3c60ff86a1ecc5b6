#include "kernels/batch_norm.h"
#include "kernels/batch_norm_on_chip.cuh"
#include "kernels/check.h"

namespace stopgrad::cuda {

using namespace norm;

namespace {

/// Of one channel over one part: sums of x - shift and of its square. A shift of the part's own, its first
/// row, keeps the square from drowning the variance where the mean is large.
struct PartSums {
  float shift, sum, square;
};

template <int P>
__device__ __forceinline__ void add_row(const float (&v)[P], const float (&shift)[P], float (&sums)[2][P]) {
#pragma unroll
  for (int k = 0; k < P; ++k) {
    const float d = v[k] - shift[k];
    sums[0][k] += d;
    sums[1][k] = fmaf(d, d, sums[1][k]);
  }
}

template <int P>
__device__ __forceinline__ void put_part(PartSums* out, const float (&shift)[P], const float (&sums)[2][P]) {
#pragma unroll
  for (int k = 0; k < P; ++k) out[k] = {shift[k], sums[0][k], sums[1][k]};
}

template <class T, int P>
__global__ void __launch_bounds__(kThreads, kBlocks)
    batch_norm_sums(const T* x, int rows, int channels, int part_rows, PartSums* parts) {
  await_previous_kernel();
  const int first = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x) * P;
  float shift[P] = {}, sums[2][P] = {};
  if (first < channels) {
    load<P>(x + (int64_t{blockIdx.z} * rows + int64_t{blockIdx.y} * part_rows) * channels + first, shift);
    for_each_row<false>(rows, channels, part_rows, first, [&](int64_t at) {
      float v[P];
      load<P>(x + at, v);
      add_row(v, shift, sums);
    });
  }
  sum_rows(sums);
  if (threadIdx.y > 0 || first >= channels) return;
  put_part(parts + (int64_t{blockIdx.z} * gridDim.y + blockIdx.y) * channels + first, shift, sums);
}

/// Of one channel of one group; squares: of the distances from the mean, added up.
struct Statistics {
  float mean, rstd, squares;
};

/// A warp: those of channel c of group g, from its parts' sums; valid in lane 0, which writes mean and 1 /
/// std if told. The sums are moved to the first part's shift and added in double.
template <class T>
__device__ __forceinline__ Statistics finish(const BatchNormForward<T>& call, int g, int c,
                                             const PartSums* sums, int parts, int part_rows, bool write) {
  const int lane = static_cast<int>(threadIdx.x + blockDim.x * threadIdx.y) % 32;
  sums += int64_t{g} * parts * call.channels + c;
  const double origin = sums->shift;
  double sum = 0, square = 0;
  for (int p = lane; p < parts; p += 32) {
    const PartSums part = sums[int64_t{p} * call.channels];
    const double moved = part.shift - origin, offset = moved * min(part_rows, call.rows - p * part_rows);
    sum += part.sum + offset;
    square += part.square + moved * (2.0 * part.sum + offset);
  }
  sum = warp_sum(sum);
  square = warp_sum(square);
  const double offset = sum / call.rows;
  const float mean = static_cast<float>(origin + offset);
  const float squares = static_cast<float>(fmax(square - sum * offset, 0.0));
  const float rstd = 1 / sqrtf(squares / static_cast<float>(call.rows) + call.eps);
  if (write && lane == 0) {
    call.mean[g * call.channels + c] = mean;
    call.rstd[g * call.channels + c] = rstd;
  }
  return {mean, rstd, squares};
}

/// The running statistics of a channel, which follow its groups one after the other; read and stored by the
/// one thread that `keeps` them.
struct Running {
  bool keeps;
  float mean = 0, var = 0;

  template <class T>
  __device__ __forceinline__ Running(const BatchNormForward<T>& call, int c, bool keeps) : keeps(keeps) {
    if (keeps && call.running_mean) mean = call.running_mean[c];
    if (keeps && call.running_var) var = call.running_var[c];
  }
  template <class T>
  __device__ __forceinline__ void follow(const BatchNormForward<T>& call, const Statistics& group) {
    const float m = call.momentum, unbiased = static_cast<float>(max(1, call.rows - 1));
    mean = (1 - m) * mean + m * group.mean;
    var = (1 - m) * var + m * (group.squares / unbiased);
  }
  template <class T>
  __device__ __forceinline__ void store(const BatchNormForward<T>& call, int c) const {
    if (keeps && call.running_mean) call.running_mean[c] = mean;
    if (keeps && call.running_var) call.running_var[c] = var;
  }
};

/// A block per channel.
template <class T>
__global__ void __launch_bounds__(32 * kGroupsAtOnce, 4)
    batch_norm_finalize(const PartSums* sums, int parts, int part_rows, BatchNormForward<T> call) {
  await_previous_kernel();
  const int c = static_cast<int>(blockIdx.x);
  Running running(call, c, threadIdx.x == 0 && threadIdx.y == 0);
  for_each_group<Statistics>(
      call.groups, [&](int g) { return finish(call, g, c, sums, parts, part_rows, true); },
      [&](const Statistics& group) { running.follow(call, group); });
  running.store(call, c);
}

template <int P, class T>
struct Pair {
  Pack<T, P> x, residual;
};

/// y = relu((x - mean) * scale + beta + residual) of a row of P channels, `adds` where there is a residual.
template <bool adds, int P, class T>
__device__ __forceinline__ void map_row(const Pack<T, P>& x, const Pack<T, P>& residual,
                                        const Channels<P>& channels, bool relu, T* y) {
  float v[P], r[P];
  unpack(x, v);
  if constexpr (adds) unpack(residual, r);
#pragma unroll
  for (int k = 0; k < P; ++k) {
    v[k] = affine(v[k] - channels.mean[k], channels.scale[k], channels.beta[k]);
    if constexpr (adds) v[k] += r[k];
    if (relu) v[k] = gated(v[k], v[k]);
  }
  store<P>(y, v);
}

/// From the last row to the first: the end of x is still in cache. `variance`: what `rstd` points to is one.
template <class T, int P>
__global__ void __launch_bounds__(kThreads, kBlocks)
    batch_norm_apply(const T* x, const T* residual, int rows, int channels, int part_rows, const float* mean,
                     const float* rstd, bool variance, float eps, const float* gamma, const float* beta,
                     bool relu, T* __restrict__ y) {
  await_previous_kernel();
  const int first = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x) * P;
  if (first >= channels) return;
  const Walk walk(rows, channels, part_rows, first, true);
  const int64_t mine = int64_t{walk.group} * channels + first;
  float rstds[P];
#pragma unroll
  for (int k = 0; k < P; ++k) rstds[k] = variance ? 1 / sqrtf(rstd[mine + k] + eps) : rstd[mine + k];
  const Channels<P> own(mean + mine, rstds, gamma, beta, first);
  // Four reads of a thread are under way, with a residual as without.
  if (residual) {
    const auto read = [&](int64_t at) { return Pair<P, T>{pack_at<P>(x + at), pack_at<P>(residual + at)}; };
    read_rows<2>(walk.count, walk.at, walk.stride, read,
                 [&](int64_t at, const auto& row) { map_row<true>(row.x, row.residual, own, relu, y + at); });
  } else {
    const auto read = [&](int64_t at) { return pack_at<P>(x + at); };
    read_rows<4>(walk.count, walk.at, walk.stride, read,
                 [&](int64_t at, const auto& row) { map_row<false>(row, row, own, relu, y + at); });
  }
}

/// All of it in one launch for what fits on the chip: x is read once.
template <class T>
__global__ void __launch_bounds__(kOnChipThreads, 1)
    batch_norm_on_chip(BatchNormForward<T> call, OnChip plan, PartSums* parts) {
  await_previous_kernel();
  constexpr int P = Pack<T>::size;
  DYNAMIC_SHARED(T, chip);
  const int first = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x) * P;
  const int64_t group = int64_t{call.rows} * call.channels;
  for (int g = 0; g < call.groups; g += plan.resident) {
    const int resident = min(plan.resident, call.groups - g);
    for (int h = 0; h < resident; ++h)
      for (int round = 0; round < plan.rounds; ++round) {
        const T* const x = call.x + (g + h) * group + first;
        const bool inside = first < call.channels && plan.part(round) < plan.parts;
        float shift[P] = {}, sums[2][P] = {};
        if (inside) {
          load<P>(x + int64_t{plan.part(round)} * plan.part_rows * call.channels, shift);
          const auto read = [&](int64_t at) { return pack_at<P>(x + at); };
          plan.for_each_row(round, call.rows, call.channels, read, [&](int slot, int64_t, const auto& row) {
            put_pack(plan.at(chip, h, 0, slot), row);
            float v[P];
            unpack(row, v);
            add_row(v, shift, sums);
          });
        }
        sum_rows<kOnChipThreads>(sums, plan.row(), plan.part_ty);
        if (inside && plan.row() == 0)
          put_part(parts + (int64_t{g + h} * plan.parts + plan.part(round)) * call.channels + first, shift,
                   sums);
        __syncthreads();
      }
    plan.wait_for_blocks();
    plan.for_each_channel<P>(call.channels, [&](int c, int place, bool writes) {
      const bool first_block = blockIdx.y == 0;
      Running running(call, c, writes && first_block);
      for (int h = 0; h < resident; ++h) {
        const Statistics own = finish(call, g + h, c, parts, plan.parts, plan.part_rows, first_block);
        running.follow(call, own);
        if (!writes) continue;
        plan.numbers(chip, h, 0)[place] = own.mean;
        plan.numbers(chip, h, 1)[place] = own.rstd;
      }
      running.store(call, c);
    });
    __syncthreads();
    if (first >= call.channels) continue;
    for (int h = 0; h < resident; ++h) {
      const int mine = static_cast<int>(threadIdx.x) * P;
      const Channels<P> own(plan.numbers(chip, h, 0) + mine, plan.numbers(chip, h, 1) + mine, call.gamma,
                            call.beta, first);
      const int64_t begin = (g + h) * group + first;
      const auto x = [&](int slot) { return pack_at<P>(plan.at(chip, h, 0, slot)); };
      for (int round = 0; round < plan.rounds; ++round)
        if (call.residual) {
          const auto read = [&](int64_t at) { return pack_at<P>(call.residual + begin + at); };
          plan.for_each_row(round, call.rows, call.channels, read,
                            [&](int slot, int64_t at, const auto& row) {
                              map_row<true>(x(slot), row, own, call.relu, call.y + begin + at);
                            });
        } else {
          plan.for_each_row(round, call.rows, call.channels, [&](int slot, int64_t at) {
            map_row<false>(x(slot), x(slot), own, call.relu, call.y + begin + at);
          });
        }
    }
  }
}

/// False, and nothing done, where x does not fit.
template <class T>
bool forward_on_chip(const BatchNormForward<T>& call, Context& context) {
  const Tiles two_passes(call.groups, call.rows, call.channels, Pack<T>::size);
  const OnChip plan(two_passes, call.groups, call.channels, 1, context.info());
  if (!context.on_chip || plan.resident == 0) return false;
  auto* parts = context.scratch_of<PartSums>(size_t(call.groups) * plan.parts * call.channels);
  LAUNCH_ON_CHIP(context, plan, (batch_norm_on_chip<T>), call, plan, parts);
  return true;
}

template <class T, int P>
void forward(const BatchNormForward<T>& call, Context& context) {
  const Tiles tiles(call.groups, call.rows, call.channels, P);
  auto* sums = context.scratch_of<PartSums>(size_t(call.groups) * tiles.parts * call.channels);
  LAUNCH(context, (batch_norm_sums<T, P>), tiles.grid(call.groups), tiles.block(), 0, call.x, call.rows,
         call.channels, tiles.part_rows, sums);
  LAUNCH(context, (batch_norm_finalize<T>), static_cast<unsigned>(call.channels),
         block_of_groups(call.groups), 0, sums, tiles.parts, tiles.part_rows, call);
  LAUNCH(context, (batch_norm_apply<T, P>), tiles.grid(call.groups), tiles.block(), 0, call.x, call.residual,
         call.rows, call.channels, tiles.part_rows, call.mean, call.rstd, false, 0.0f, call.gamma, call.beta,
         call.relu, call.y);
}

template <class T, int P>
void inference(const BatchNormInference<T>& call, Context& context) {
  const Tiles tiles(1, call.rows, call.channels, P);
  LAUNCH(context, (batch_norm_apply<T, P>), tiles.grid(1), tiles.block(), 0, call.x, call.residual, call.rows,
         call.channels, tiles.part_rows, call.running_mean, call.running_var, true, call.eps, call.gamma,
         call.beta, call.relu, call.y);
}

}  // namespace

template <class T>
void run(const BatchNormForward<T>& call, Context& context) {
  ENSURE(call.groups > 0 && call.rows > 0 && call.channels > 0,
         "batch norm: {} groups of [{}, {}], every size must be positive", call.groups, call.rows,
         call.channels);
  constexpr int P = Pack<T>::size;
  const bool whole = call.channels % P == 0 && aligned(call.x) && aligned(call.residual) && aligned(call.y);
  if (whole && forward_on_chip(call, context)) return;
  if (whole) forward<T, P>(call, context);
  else forward<T, 1>(call, context);
}

template <class T>
void run(const BatchNormInference<T>& call, Context& context) {
  ENSURE(call.rows > 0 && call.channels > 0, "batch norm: [{}, {}], every size must be positive", call.rows,
         call.channels);
  constexpr int P = Pack<T>::size;
  const bool whole = call.channels % P == 0 && aligned(call.x) && aligned(call.residual) && aligned(call.y);
  if (whole) inference<T, P>(call, context);
  else inference<T, 1>(call, context);
}

template void run(const BatchNormForward<float>&, Context&);
template void run(const BatchNormForward<bf16>&, Context&);
template void run(const BatchNormInference<float>&, Context&);
template void run(const BatchNormInference<bf16>&, Context&);

}  // namespace stopgrad::cuda
