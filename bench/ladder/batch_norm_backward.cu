// The ladder of BatchNormBackward. An element is one of x.
#include "bench/ladder/batch_norm_backward/1_thread_per_channel.cuh"
#include "bench/ladder/batch_norm_backward/2_row_parts.cuh"
#include "bench/ladder/batch_norm_backward/3_mask_from_x.cuh"
#include "bench/ladder/batch_norm_backward/4_packs.cuh"
#include "bench/ladder/batch_norm_backward/5_four_rows.cuh"
#include "bench/ladder/batch_norm_backward/6_backwards.cuh"

namespace stopgrad::ladder {

using namespace batch_norm_backward;

namespace {

template <class T>
constexpr Version<BatchNormBackward<T>> kVersions[] = {
    // dy, y -> dy'; dy', x; dy', x -> dx
    {"thread_per_channel", 8 * sizeof(T), thread_per_channel::run<T>},
    {"row_parts", 8 * sizeof(T), row_parts::run<T>},
    // dy, x; dy, x -> dx
    {"mask_from_x", 5 * sizeof(T), mask_from_x::run<T>},
    {"packs", 5 * sizeof(T), packs::run<T>},
    {"four_rows", 5 * sizeof(T), four_rows::run<T>},
    {"backwards", 5 * sizeof(T), backwards::run<T>},
    {"shipped", 5 * sizeof(T), cuda::run<T>},  // counted as two passes
};

}  // namespace

template <>
std::span<const Version<BatchNormBackward<float>>> versions() {
  return kVersions<float>;
}
template <>
std::span<const Version<BatchNormBackward<bf16>>> versions() {
  return kVersions<bf16>;
}

}  // namespace stopgrad::ladder
