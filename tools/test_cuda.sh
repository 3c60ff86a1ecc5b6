#!/usr/bin/env bash
# The CUDA schedules without a GPU: every kernel on the emulated device, plain and under sanitizers, with the planted
# bugs; then everything through nvcc, with the table of registers and shared memory per kernel, and what cuDNN offers.
#   tools/test_cuda.sh [plain|address|thread|nvcc|bench]...        (all of them unless told)
# bench, the benchmarks on the emulated device, is for those who change them: CI has no time to compile it.
# Needs CUDA's headers, and nvcc for the last one; without them says so and succeeds.
set -euo pipefail
cd "$(dirname "$0")/.."
nvcc=$(command -v nvcc || ls /usr/local/cuda/bin/nvcc 2>/dev/null || true)
if [ -z "$nvcc" ]; then
  echo "no CUDA toolkit here: the CUDA schedules are neither emulated nor compiled"
  exit 0
fi
[ $# -gt 0 ] || set -- plain address thread nvcc bench

emulate() {  # preset, label, targets...
  cmake --preset "$1" >/dev/null
  cmake --build --preset "$1" --target "${@:3}"
  OMP_WAIT_POLICY=passive ctest --preset "$1" -L "$2" -j 2
}

# The benchmarks' CUDA side: some calls in small shapes, a step with its breakdown, and a ladder with a switch of the step's.
benchmarks() {
  local bench=build/emulate/bench quick=(--max_time=0.001 --benchmark_min_time=0.001) targets=(bench_ladder bench_step)
  cmake --preset emulate >/dev/null
  ! grep -qx 'BENCHMARK_LIBRARY:FILEPATH=/.*' build/emulate/CMakeCache.txt || targets+=(bench_kernels)
  cmake --build --preset emulate --target "${targets[@]}"
  [ ${#targets[@]} -lt 3 ] ||
    $bench/bench_kernels --device cuda "${quick[@]}" --small --benchmark_filter='batch_norm|conv2d_fwd|gemm_fwd|cosine|sgd'
  $bench/bench_step --net tiny --device cuda --precision bf16 --steps 1 --block 1 --warmup 2 --breakdown --breakdown-steps 1
  STOPGRAD_ON_CHIP=off $bench/ladder/bench_ladder batch_norm_forward --rows 64 --json
}

other_seeds() {  # other orders of blocks, warps and lanes, once with kernels that must wait; side by side, one thread each
  local seed log code=0
  log=$(mktemp -d)
  for seed in 2 3; do
    EMULATOR_SEED=$seed STOPGRAD_OVERLAP=$([ $seed = 3 ] && echo on || echo off) build/emulate/tests/cuda/cuda_tests >"$log/$seed" 2>&1 &
  done
  for seed in 2 3; do
    wait -n || code=1
  done
  for seed in 2 3; do
    echo "== cuda: seed $seed"
    cat "$log/$seed"
  done
  rm -r "$log"
  return $code
}

for stage in "$@"; do
  echo "== cuda: $stage"
  start=$SECONDS
  case $stage in
    plain)
      emulate emulate emulated cuda_tests cuda_ladder_tests cuda_training_tests planted_bugs simsiam
      other_seeds
      ;;
    address) emulate emulate-asan 'emulated$' cuda_tests planted_bugs ;;
    thread) emulate emulate-tsan 'emulated$' cuda_tests planted_bugs ;;
    nvcc)
      cmake --preset cuda >/dev/null
      cmake --build --preset cuda --target stopgrad_kernels bench_ladder cuda_deviceless_tests
      tools/check_waits.sh
      ctest --preset cuda -L deviceless  # the real cuDNN, asked without a device
      tools/kernel_resources.sh
      ;;
    bench) benchmarks ;;
    *) echo "unknown stage $stage" >&2; exit 2 ;;
  esac
  echo "== cuda: $stage took $((SECONDS - start)) s"
done
