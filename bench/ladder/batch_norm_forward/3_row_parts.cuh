#pragma once
// What: blocks share out the rows, a warp lies across 32 channels; a second launch adds up the parts' sums.
// Why:  every byte is used, hundreds of blocks run, and the order of a sum depends on shapes alone.
// Cost: blocks cannot wait for each other, so each step is a launch; one thread per channel joins all parts.
#include "bench/ladder/batch_norm_forward/1_thread_per_channel.cuh"

namespace stopgrad::ladder::batch_norm_forward::row_parts {

using thread_per_channel::relu;

enum class Sum { x, squares };  // of x, or of (x - mean)^2

/// parts[p, c]: the sum over part p of channel c.
template <Sum of, class T>
__global__ void __launch_bounds__(kThreads)
    sum_parts(BatchNormForward<T> call, int part_rows, float* __restrict__ parts) {
  await_previous_kernel();
  const int c = static_cast<int>(thread_of_grid());
  float sum[1][1] = {};
  if (c < call.channels) {
    const float mean = of == Sum::squares ? call.mean[c] : 0;
    OneRow::walk(call.rows, call.channels, part_rows, c, [&](int64_t at) {
      const float d = to_float(call.x[at]) - mean;
      sum[0][0] += of == Sum::squares ? d * d : d;
    });
  }
  sum_rows(sum);  // the tree of version 2, over the rows of the block
  if (threadIdx.y == 0 && c < call.channels) parts[int64_t{blockIdx.y} * call.channels + c] = sum[0][0];
}

/// From the sum over all rows to the mean, or to 1 / the standard deviation.
template <Sum of, class T>
__device__ __forceinline__ void save(const BatchNormForward<T>& call, int c, float sum) {
  const float mean = sum / static_cast<float>(call.rows);
  if (of == Sum::x) call.mean[c] = mean;
  else call.rstd[c] = 1 / sqrtf(mean + call.eps);
}

template <Sum of, class T>
__global__ void __launch_bounds__(32) join_parts(BatchNormForward<T> call, const float* parts, int count) {
  await_previous_kernel();
  const int c = static_cast<int>(thread_of_grid());
  if (c >= call.channels) return;
  float sum = 0;
  for (int p = 0; p < count; ++p) sum += parts[int64_t{p} * call.channels + c];
  save<of>(call, c, sum);
}

template <class T>
__global__ void __launch_bounds__(kThreads) apply(BatchNormForward<T> call, int part_rows) {
  await_previous_kernel();
  const int c = static_cast<int>(thread_of_grid());
  if (c >= call.channels) return;
  const float mean = call.mean[c], scale = call.gamma[c] * call.rstd[c], beta = call.beta[c];
  OneRow::walk(call.rows, call.channels, part_rows, c, [&](int64_t at) {
    call.y[at] = from_float<T>(affine(to_float(call.x[at]) - mean, scale, beta));
  });
}

template <class T>
void run(const BatchNormForward<T>& call, Context& context) {
  const Tiles tiles(1, call.rows, call.channels, 1);
  auto* parts = context.scratch_of<float>(size_t(tiles.parts) * call.channels);
  const unsigned warps = blocks_for(call.channels, 32);
  LAUNCH(context, (sum_parts<Sum::x, T>), tiles.grid(1), tiles.block(), 0, call, tiles.part_rows, parts);
  LAUNCH(context, (join_parts<Sum::x, T>), warps, 32, 0, call, parts, tiles.parts);
  LAUNCH(context, (sum_parts<Sum::squares, T>), tiles.grid(1), tiles.block(), 0, call, tiles.part_rows,
         parts);
  LAUNCH(context, (join_parts<Sum::squares, T>), warps, 32, 0, call, parts, tiles.parts);
  LAUNCH(context, apply<T>, tiles.grid(1), tiles.block(), 0, call, tiles.part_rows);
  const int64_t count = int64_t{call.rows} * call.channels;
  LAUNCH(context, relu<T>, blocks_for(count, 256), 256, 0, call.y, count);
}

}  // namespace stopgrad::ladder::batch_norm_forward::row_parts
