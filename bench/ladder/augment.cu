// The ladder of Augment. An element is a number of a view. Every colour step is counted as if all views took
// it; a byte of the images is read once for each number, later reads find it in a cache.
#include "bench/ladder/augment/1_launch_per_step.cuh"
#include "bench/ladder/augment/2_drawn_once.cuh"
#include "bench/ladder/augment/3_fused_steps.cuh"
#include "bench/ladder/augment/4_block_per_view.cuh"
#include "bench/ladder/augment/5_tap_tables.cuh"
#include "bench/ladder/augment/6_two_taps.cuh"
#include "bench/ladder/augment/7_packs.cuh"

namespace stopgrad::ladder {

using namespace augment;

namespace {

// Floats of 4 bytes: the crop writes one, each of five colour steps reads and writes one, the mean reads one,
// normalising reads one.
constexpr double kSteps = 1 + 4 * (1 + 2 * 5 + 1 + 1), kFused = 1 + 4 * (1 + 1 + 1);

template <class T>
constexpr Version<Augment<T>> kVersions[] = {
    {"launch_per_step", kSteps + sizeof(T), launch_per_step::run<T>},
    {"drawn_once", kSteps + sizeof(T), drawn_once::run<T>},
    {"fused_steps", kFused + sizeof(T), fused_steps::run<T>},
    {"block_per_view", 1 + sizeof(T), block_per_view::run<T>},
    {"tap_tables", 1 + sizeof(T), tap_tables::run<T>},
    {"two_taps", 1 + sizeof(T), two_taps::run<T>},
    {"packs", 1 + sizeof(T), packs::run<T>},
    {"shipped", 1 + sizeof(T), cuda::run<T>},
};

}  // namespace

template <>
std::span<const Version<Augment<float>>> versions() {
  return kVersions<float>;
}
template <>
std::span<const Version<Augment<bf16>>> versions() {
  return kVersions<bf16>;
}

}  // namespace stopgrad::ladder
