#include "kernels/batch_norm.h"
#include "kernels/batch_norm_on_chip.cuh"
#include "kernels/check.h"

namespace stopgrad::cuda {

using namespace norm;

namespace {

enum class Mask { none, from_x, from_y };  // what tells where the ReLU let a value pass

/// What a pass reads of a row's P channels: dy, x, and y where the mask is in it.
template <Mask mask, int P, class T>
struct Row {
  Pack<T, P> of[mask == Mask::from_y ? 3 : 2];

  Row() = default;
  __device__ __forceinline__ Row(const T* dy, const T* x, const T* y) {
    of[0] = pack_at<P>(dy);
    of[1] = pack_at<P>(x);
    if constexpr (mask == Mask::from_y) of[2] = pack_at<P>(y);
  }
};

/// Rows under way per thread: of 32 bytes or 48, they keep memory busy as four of 16 do.
constexpr int kAtOnce = 2;

/// dy', the gradient behind the ReLU, and x - mean, of P channels of a row.
template <Mask mask, int P, class T>
__device__ __forceinline__ void masked(const Row<mask, P, T>& row, const Channels<P>& channels,
                                       float (&grad)[P], float (&centered)[P]) {
  float gate[P];
  unpack(row.of[0], grad);
  unpack(row.of[1], centered);
  if constexpr (mask == Mask::from_y) unpack(row.of[2], gate);
#pragma unroll
  for (int k = 0; k < P; ++k) {
    centered[k] = centered[k] - channels.mean[k];
    if constexpr (mask == Mask::from_x) gate[k] = affine(centered[k], channels.scale[k], channels.beta[k]);
    if constexpr (mask != Mask::none) grad[k] = gated(grad[k], gate[k]);
  }
}

/// A row of the first pass: adds up dy' and dy' * (x - mean); dresidual = dy'. `grad` becomes dy'.
template <Mask mask, int P, class T>
__device__ __forceinline__ void add_row(const Row<mask, P, T>& row, const Channels<P>& channels,
                                        float (&sums)[2][P], float (&grad)[P]) {
  float centered[P];
  masked(row, channels, grad, centered);
#pragma unroll
  for (int k = 0; k < P; ++k) {
    sums[0][k] += grad[k];
    sums[1][k] = fmaf(grad[k], centered[k], sums[1][k]);
  }
}

template <int P>
__device__ __forceinline__ void put_part(float2* out, const float (&sums)[2][P]) {
#pragma unroll
  for (int k = 0; k < P; ++k) out[k] = make_float2(sums[0][k], sums[1][k]);
}

template <Mask mask, int P, class T>
__device__ __forceinline__ Row<mask, P, T> row_of(const BatchNormBackward<T>& call, const T* dy, int64_t at) {
  return {dy + at, call.x + at, mask == Mask::from_y ? call.y + at : nullptr};
}

template <int P, class T>
__device__ __forceinline__ Channels<P> channels_of(const BatchNormBackward<T>& call, int group, int first) {
  const int64_t mine = int64_t{group} * call.channels + first;
  return Channels<P>(call.mean + mine, call.rstd + mine, call.gamma, call.beta, first);
}

/// First pass: per part, sums of dy' and of dy' * (x - mean); and dresidual = dy'.
template <class T, int P, Mask mask>
__global__ void __launch_bounds__(kThreads, kBlocks)
    batch_norm_backward_sums(BatchNormBackward<T> call, int part_rows, float2* parts) {
  await_previous_kernel();
  const int first = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x) * P;
  float sums[2][P] = {};
  if (first < call.channels) {
    const Channels<P> own = channels_of<P>(call, static_cast<int>(blockIdx.z), first);
    const Walk walk(call.rows, call.channels, part_rows, first, false);
    const auto read = [&](int64_t at) { return row_of<mask, P>(call, call.dy, at); };
    read_rows<kAtOnce>(walk.count, walk.at, walk.stride, read, [&](int64_t at, const auto& row) {
      float grad[P];
      add_row(row, own, sums, grad);
      if (call.dresidual) put<P>(call.dresidual + at, grad, call.accumulate_dresidual);
    });
  }
  sum_rows(sums);
  if (threadIdx.y > 0 || first >= call.channels) return;
  put_part(parts + (int64_t{blockIdx.z} * gridDim.y + blockIdx.y) * call.channels + first, sums);
}

/// Of one channel of one group: its share of the gradients, and what the second pass needs, mean(dy') and
/// slope = rstd * mean(dy' * xhat).
struct Sums {
  float dgamma, dbeta, grad_mean, slope;
};

/// A warp: those of channel c of group g.
template <class T>
__device__ __forceinline__ Sums finish(const BatchNormBackward<T>& call, int g, int c, const float2* sums,
                                       int parts) {
  const int lane = static_cast<int>(threadIdx.x + blockDim.x * threadIdx.y) % 32;
  double sum = 0, dot = 0;
  for (int p = lane; p < parts; p += 32) {
    const float2 part = sums[(int64_t{g} * parts + p) * call.channels + c];
    sum += part.x;
    dot += part.y;
  }
  sum = warp_sum(sum);
  dot = warp_sum(dot);
  const float rstd = call.rstd[g * call.channels + c], share = 1 / static_cast<float>(call.rows);
  const float dgamma = rstd * static_cast<float>(dot), dbeta = static_cast<float>(sum);
  return {dgamma, dbeta, dbeta * share, rstd * (dgamma * share)};
}

/// The gradients of a channel's parameters, added up over its groups from `group` on, one after the other;
/// read and stored by the one thread that `keeps` them.
struct Gradients {
  bool keeps;
  float dgamma = 0, dbeta = 0;

  template <class T>
  __device__ __forceinline__ Gradients(const BatchNormBackward<T>& call, int group, int c, bool keeps)
      : keeps(keeps) {
    if (keeps && call.dgamma && (group > 0 || call.accumulate_dgamma)) dgamma = call.dgamma[c];
    if (keeps && call.dbeta && (group > 0 || call.accumulate_dbeta)) dbeta = call.dbeta[c];
  }
  __device__ __forceinline__ void add(const Sums& group) {
    dgamma += group.dgamma;
    dbeta += group.dbeta;
  }
  template <class T>
  __device__ __forceinline__ void store(const BatchNormBackward<T>& call, int c) const {
    if (keeps && call.dgamma) call.dgamma[c] = dgamma;
    if (keeps && call.dbeta) call.dbeta[c] = dbeta;
  }
};

/// A block per channel.
template <class T>
__global__ void __launch_bounds__(32 * kGroupsAtOnce, 4)
    batch_norm_backward_finalize(const float2* sums, int parts, BatchNormBackward<T> call, float2* means) {
  await_previous_kernel();
  const int c = static_cast<int>(blockIdx.x);
  Gradients gradients(call, 0, c, threadIdx.x == 0 && threadIdx.y == 0);
  const auto of = [&](int g) {
    const Sums own = finish(call, g, c, sums, parts);
    if (threadIdx.x == 0) means[g * call.channels + c] = make_float2(own.grad_mean, own.slope);
    return own;
  };
  for_each_group<Sums>(call.groups, of, [&](const Sums& group) { gradients.add(group); });
  gradients.store(call, c);
}

/// A row of the second pass: dx = gamma * rstd * (dy' - mean(dy') - xhat * mean(dy' * xhat)).
template <Mask mask, int P, class T>
__device__ __forceinline__ void map_row(const BatchNormBackward<T>& call, const Row<mask, P, T>& row,
                                        int64_t at, const Channels<P>& channels, const float (&grad_mean)[P],
                                        const float (&slope)[P]) {
  float grad[P], centered[P];
  masked(row, channels, grad, centered);
#pragma unroll
  for (int k = 0; k < P; ++k) grad[k] = channels.scale[k] * (grad[k] - grad_mean[k] - centered[k] * slope[k]);
  put<P>(call.dx + at, grad, call.accumulate_dx);
}

template <class T, int P, Mask mask>
__global__ void __launch_bounds__(kThreads, kBlocks)
    batch_norm_backward_apply(BatchNormBackward<T> call, const T* dy, int part_rows, const float2* means) {
  await_previous_kernel();
  const int first = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x) * P;
  if (first >= call.channels) return;
  const Walk walk(call.rows, call.channels, part_rows, first, true);
  const Channels<P> own = channels_of<P>(call, walk.group, first);
  float grad_mean[P], slope[P];
#pragma unroll
  for (int k = 0; k < P; ++k) {
    const float2 both = means[int64_t{walk.group} * call.channels + first + k];
    grad_mean[k] = both.x;
    slope[k] = both.y;
  }
  const auto read = [&](int64_t at) { return row_of<mask, P>(call, dy, at); };
  read_rows<kAtOnce>(walk.count, walk.at, walk.stride, read,
                     [&](int64_t at, const auto& row) { map_row(call, row, at, own, grad_mean, slope); });
}

/// All of it in one launch for what fits on the chip: x and dy are read once, and stay as x and dy'.
template <class T, Mask mask>
__global__ void __launch_bounds__(kOnChipThreads, 1)
    batch_norm_backward_on_chip(BatchNormBackward<T> call, OnChip plan, float2* parts) {
  await_previous_kernel();
  constexpr int P = Pack<T>::size;
  DYNAMIC_SHARED(T, chip);
  const int first = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x) * P;
  const int64_t group = int64_t{call.rows} * call.channels;
  for (int g = 0; g < call.groups; g += plan.resident) {
    const int resident = min(plan.resident, call.groups - g);
    for (int h = 0; h < resident; ++h)
      for (int round = 0; round < plan.rounds; ++round) {
        const bool inside = first < call.channels && plan.part(round) < plan.parts;
        float sums[2][P] = {};
        if (inside) {
          const Channels<P> own = channels_of<P>(call, g + h, first);
          const int64_t begin = (g + h) * group + first;
          const auto read = [&](int64_t at) { return row_of<mask, P>(call, call.dy, begin + at); };
          plan.for_each_row(round, call.rows, call.channels, read,
                            [&](int slot, int64_t at, const auto& row) {
                              float grad[P];
                              add_row(row, own, sums, grad);
                              put_pack(plan.at(chip, h, 0, slot), row.of[1]);
                              store<P>(plan.at(chip, h, 1, slot), grad);
                              if (call.dresidual)
                                put<P>(call.dresidual + begin + at, grad, call.accumulate_dresidual);
                            });
        }
        sum_rows<kOnChipThreads>(sums, plan.row(), plan.part_ty);
        if (inside && plan.row() == 0)
          put_part(parts + (int64_t{g + h} * plan.parts + plan.part(round)) * call.channels + first, sums);
        __syncthreads();
      }
    plan.wait_for_blocks();
    plan.for_each_channel<P>(call.channels, [&](int c, int place, bool writes) {
      Gradients gradients(call, g, c, writes && blockIdx.y == 0);
      for (int h = 0; h < resident; ++h) {
        const Sums own = finish(call, g + h, c, parts, plan.parts);
        gradients.add(own);
        if (!writes) continue;
        plan.numbers(chip, h, 0)[place] = own.grad_mean;
        plan.numbers(chip, h, 1)[place] = own.slope;
      }
      gradients.store(call, c);
    });
    __syncthreads();
    if (first >= call.channels) continue;
    for (int h = 0; h < resident; ++h) {
      const Channels<P> own = channels_of<P>(call, g + h, first);
      float grad_mean[P], slope[P];
      load<P>(plan.numbers(chip, h, 0) + static_cast<int>(threadIdx.x) * P, grad_mean);
      load<P>(plan.numbers(chip, h, 1) + static_cast<int>(threadIdx.x) * P, slope);
      for (int round = 0; round < plan.rounds; ++round)
        plan.for_each_row(round, call.rows, call.channels, [&](int slot, int64_t at) {
          const T *const x = plan.at(chip, h, 0, slot), *const dy = plan.at(chip, h, 1, slot);
          map_row(call, Row<Mask::none, P, T>(dy, x, nullptr), (g + h) * group + first + at, own, grad_mean,
                  slope);
        });
    }
  }
}

/// False, and nothing done, where x and dy do not fit.
template <class T, Mask mask>
bool backward_on_chip(const BatchNormBackward<T>& call, const Tiles& two_passes, Context& context) {
  const OnChip plan(two_passes, call.groups, call.channels, 2, context.info());
  if (!context.on_chip || !call.dx || plan.resident == 0) return false;
  auto* parts = context.scratch_of<float2>(size_t(call.groups) * plan.parts * call.channels);
  LAUNCH_ON_CHIP(context, plan, (batch_norm_backward_on_chip<T, mask>), call, plan, parts);
  return true;
}

template <class T, int P, Mask mask>
void backward(const BatchNormBackward<T>& call, Context& context) {
  const Tiles tiles(call.groups, call.rows, call.channels, P);
  if constexpr (P == Pack<T>::size)
    if (backward_on_chip<T, mask>(call, tiles, context)) return;
  const size_t parts = size_t(call.groups) * tiles.parts * call.channels;
  auto* sums = context.scratch_of<float2>(parts + size_t(call.groups) * call.channels);
  float2* const means = sums + parts;
  LAUNCH(context, (batch_norm_backward_sums<T, P, mask>), tiles.grid(call.groups), tiles.block(), 0, call,
         tiles.part_rows, sums);
  LAUNCH(context, (batch_norm_backward_finalize<T>), static_cast<unsigned>(call.channels),
         block_of_groups(call.groups), 0, sums, tiles.parts, call, means);
  if (!call.dx) return;
  // A dresidual that was set is dy', so the second pass needs neither dy nor y.
  constexpr bool from_y = mask == Mask::from_y;
  if (from_y && call.dresidual && !call.accumulate_dresidual)
    LAUNCH(context, (batch_norm_backward_apply<T, P, Mask::none>), tiles.grid(call.groups), tiles.block(), 0,
           call, call.dresidual, tiles.part_rows, means);
  else
    LAUNCH(context, (batch_norm_backward_apply<T, P, mask>), tiles.grid(call.groups), tiles.block(), 0, call,
           call.dy, tiles.part_rows, means);
}

template <class T, int P>
void backward(const BatchNormBackward<T>& call, Context& context) {
  if (!call.relu) backward<T, P, Mask::none>(call, context);
  else if (call.has_residual) backward<T, P, Mask::from_y>(call, context);
  else backward<T, P, Mask::from_x>(call, context);
}

}  // namespace

template <class T>
void run(const BatchNormBackward<T>& call, Context& context) {
  ENSURE(call.groups > 0 && call.rows > 0 && call.channels > 0,
         "batch norm: {} groups of [{}, {}], every size must be positive", call.groups, call.rows,
         call.channels);
  ENSURE(!call.dx || call.dx != call.dresidual,
         "batch norm: dx and dresidual are the same memory; x cannot be its own residual, add it outside");
  constexpr int P = Pack<T>::size;
  const bool whole = call.channels % P == 0 && aligned(call.dy) && aligned(call.x) && aligned(call.y) &&
                     aligned(call.dx) && aligned(call.dresidual);
  if (whole) backward<T, P>(call, context);
  else backward<T, 1>(call, context);
}

template void run(const BatchNormBackward<float>&, Context&);
template void run(const BatchNormBackward<bf16>&, Context&);

}  // namespace stopgrad::cuda
