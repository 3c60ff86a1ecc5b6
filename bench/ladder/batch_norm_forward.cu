// The ladder of BatchNormForward. An element is one of x.
#include "bench/ladder/batch_norm_forward/10_on_chip.cuh"
#include "bench/ladder/batch_norm_forward/1_thread_per_channel.cuh"
#include "bench/ladder/batch_norm_forward/2_block_per_channel.cuh"
#include "bench/ladder/batch_norm_forward/3_row_parts.cuh"
#include "bench/ladder/batch_norm_forward/4_warp_joins.cuh"
#include "bench/ladder/batch_norm_forward/5_fused_relu.cuh"
#include "bench/ladder/batch_norm_forward/6_one_read.cuh"
#include "bench/ladder/batch_norm_forward/7_packs.cuh"
#include "bench/ladder/batch_norm_forward/8_four_rows.cuh"
#include "bench/ladder/batch_norm_forward/9_backwards.cuh"

namespace stopgrad::ladder {

using namespace batch_norm_forward;

namespace {

template <class T>
constexpr Version<BatchNormForward<T>> kVersions[] = {
    {"thread_per_channel", 6 * sizeof(T), thread_per_channel::run<T>},  // x, x, x -> y, y -> y
    {"block_per_channel", 6 * sizeof(T), block_per_channel::run<T>},
    {"row_parts", 6 * sizeof(T), row_parts::run<T>},
    {"warp_joins", 6 * sizeof(T), warp_joins::run<T>},
    {"fused_relu", 4 * sizeof(T), fused_relu::run<T>},  // x, x, x -> y
    {"one_read", 3 * sizeof(T), one_read::run<T>},      // x, x -> y
    {"packs", 3 * sizeof(T), packs::run<T>},
    {"four_rows", 3 * sizeof(T), four_rows::run<T>},
    {"backwards", 3 * sizeof(T), backwards::run<T>},
    {"on_chip", 3 * sizeof(T), on_chip::run<T>},  // counted as two passes, as a large x takes
    {"shipped", 3 * sizeof(T), cuda::run<T>},     // the same
};

}  // namespace

template <>
std::span<const Version<BatchNormForward<float>>> versions() {
  return kVersions<float>;
}
template <>
std::span<const Version<BatchNormForward<bf16>>> versions() {
  return kVersions<bf16>;
}

}  // namespace stopgrad::ladder
