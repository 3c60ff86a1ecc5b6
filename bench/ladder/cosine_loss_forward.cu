// The ladder of CosineLossForward. An element is one of p, and the one of z beside it.
#include "bench/ladder/cosine_loss_forward/1_thread_per_row.cuh"
#include "bench/ladder/cosine_loss_forward/2_warp_per_row.cuh"
#include "bench/ladder/cosine_loss_forward/3_block_mean.cuh"
#include "bench/ladder/cosine_loss_forward/4_both_directions.cuh"
#include "bench/ladder/cosine_loss_forward/5_packs.cuh"
#include "bench/ladder/cosine_loss_forward/6_block_per_row.cuh"

namespace stopgrad::ladder {

using namespace cosine_loss_forward;

namespace {

template <class T>
constexpr Version<CosineLossForward<T>> kVersions[] = {
    {"thread_per_row", 2 * sizeof(T), thread_per_row::run<T>},  // p, z; what is saved of a row does not count
    {"warp_per_row", 2 * sizeof(T), warp_per_row::run<T>},
    {"block_mean", 2 * sizeof(T), block_mean::run<T>},
    {"both_directions", 2 * sizeof(T), both_directions::run<T>},
    {"packs", 2 * sizeof(T), packs::run<T>},
    {"block_per_row", 2 * sizeof(T), block_per_row::run<T>},
    {"shipped", 2 * sizeof(T), cuda::run<T>},
};

}  // namespace

template <>
std::span<const Version<CosineLossForward<float>>> versions() {
  return kVersions<float>;
}
template <>
std::span<const Version<CosineLossForward<bf16>>> versions() {
  return kVersions<bf16>;
}

}  // namespace stopgrad::ladder
