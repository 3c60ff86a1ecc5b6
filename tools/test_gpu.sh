#!/usr/bin/env bash
# On a machine with a GPU: every CUDA schedule against the CPU's, the golden steps, resume bit for bit, then NVIDIA's
# compute-sanitizer on small shapes. A tool that is not there is reported and the rest goes on.
#   tools/test_gpu.sh [build/cuda]      (built with: cmake --preset cuda && cmake --build --preset cuda)
set -uo pipefail
cd "$(dirname "$0")/.."
build=${1:-build/cuda}
failed=()
run() {
  local name=$1 start=$SECONDS
  shift
  echo "== $name"
  "$@" || failed+=("$name")
  echo "== $name took $((SECONDS - start)) s"
}

tests=$build/tests/cuda/cuda_tests training=$build/tests/cuda/cuda_training_tests
run "every schedule" "$tests"
run "ladders" "$build/tests/cuda/cuda_ladder_tests"
run "whole steps" "$training"
if command -v compute-sanitizer >/dev/null; then
  for tool in memcheck racecheck synccheck initcheck; do
    run "$tool" compute-sanitizer --tool "$tool" --error-exitcode 1 "$tests" '[batch_norm],[cosine_loss],[augment],[topk],[sgd],[reduce]'
  done
else
  echo "compute-sanitizer is not here: memcheck, racecheck, synccheck and initcheck did not run"
fi
if [ ${#failed[@]} -gt 0 ]; then
  printf 'FAILED: %s\n' "${failed[@]}"
  exit 1
fi
echo "all passed on $(nvidia-smi --query-gpu=name --format=csv,noheader 2>/dev/null | head -1)"
