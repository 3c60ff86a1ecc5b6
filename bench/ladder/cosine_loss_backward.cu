// The ladder of CosineLossBackward. An element is one of p, with those of z and dp beside it.
#include "bench/ladder/cosine_loss_backward/1_thread_per_row.cuh"
#include "bench/ladder/cosine_loss_backward/2_warp_per_row.cuh"
#include "bench/ladder/cosine_loss_backward/3_saved_numbers.cuh"
#include "bench/ladder/cosine_loss_backward/4_wall.cuh"
#include "bench/ladder/cosine_loss_backward/5_packs.cuh"
#include "bench/ladder/cosine_loss_backward/6_both_directions.cuh"

namespace stopgrad::ladder {

using namespace cosine_loss_backward;

namespace {

template <class T>
constexpr Version<CosineLossBackward<T>> kVersions[] = {
    {"thread_per_row", 6 * sizeof(T), thread_per_row::run<T>},  // p, z; p, z -> dp, dz
    {"warp_per_row", 6 * sizeof(T), warp_per_row::run<T>},
    {"saved_numbers", 4 * sizeof(T), saved_numbers::run<T>},  // p, z -> dp, dz
    {"wall", 3 * sizeof(T), wall::run<T>},                    // p, z -> dp
    {"packs", 3 * sizeof(T), packs::run<T>},
    {"both_directions", 3 * sizeof(T), both_directions::run<T>},
    {"shipped", 3 * sizeof(T), cuda::run<T>},
};

}  // namespace

template <>
std::span<const Version<CosineLossBackward<float>>> versions() {
  return kVersions<float>;
}
template <>
std::span<const Version<CosineLossBackward<bf16>>> versions() {
  return kVersions<bf16>;
}

}  // namespace stopgrad::ladder
