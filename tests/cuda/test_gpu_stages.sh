#!/usr/bin/env bash
# What tools/test_gpu.sh makes of programs that pass, fail and do not finish, in a folder as tools/pack_gpu.sh makes it,
# with stand-ins for the programs and for NVIDIA's sanitizer. No GPU needed.
#   test_gpu_stages.sh [CUDA_TESTS]      with the real program: each filter names tests that it has
set -euo pipefail
[ $# = 0 ] || tests=$(realpath "$1")
cd "$(dirname "$0")/../.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "FAILED: $*" >&2; exit 1; }
mkdir -p "$work"/{bin,tools,tests/cuda,share/stopgrad/recipes,build/cuda/tools,build/cuda/tests/cuda}
cp tools/gpu_libraries.sh "$work/tools"
sed 's/\(stage $tool\) 90 /\1 2 /' tools/test_gpu.sh >"$work/tools/test_gpu.sh"
cp tests/cuda/knn_curve.sh "$work/tests/cuda"
cp tools/recipes/cifar10_small.toml "$work/share/stopgrad/recipes"
stand_in() { cat >"$work/$1"; chmod +x "$work/$1"; }
stand_in build/cuda/tests/cuda/cuda_tests <<'END'
#!/bin/sh
echo "overlap=$STOPGRAD_OVERLAP $1" >>"$CALLS"
echo "All tests passed"
END
cp "$work"/build/cuda/tests/cuda/cuda_tests "$work/build/cuda/tests/cuda/cuda_training_tests"
cp "$work"/build/cuda/tests/cuda/cuda_tests "$work/build/cuda/tests/cuda/cuda_ladder_tests"
stand_in build/cuda/tools/simsiam <<'END'
#!/bin/sh
[ "$1" != info ] || { echo "CUDA: a stand-in"; exit; }
[ -f "$2" ] || { echo "$2 is not there"; exit 4; }
while [ "$1" != --out ]; do shift; done
mkdir -p "$2"
for step in 100 200 300; do echo "{\"step\":$step,\"knn\":$((step / 10)).5}"; done >"$2/metrics.jsonl"
END
stand_in bin/compute-sanitizer <<'END'
#!/bin/sh
echo "========= COMPUTE-SANITIZER"
[ "$2" != "$HANGS" ] || { echo "$SAYS"; sleep 60; }
echo "$@" >>"$CALLS"
echo "========= ERROR SUMMARY: 0 errors"
END
export CALLS=$work/calls HANGS='' SAYS=''
stages() {  # exit code, arguments...
  local code=0
  : >"$CALLS"
  PATH=$work/bin:$PATH STOPGRAD_CIFAR10=$work "$work/tools/test_gpu.sh" "${@:2}" >"$work/says" 2>&1 || code=$?
  [ $code = "$1" ] || { cat "$work/says"; fail "exit code $code, not $1: ${*:2}"; }
}
row() { grep -qE "$1" "$work/build/cuda/gpu_logs/summary.txt" || { cat "$work/says"; fail "no row '$1'"; }; }

chmod +x "$work/tools/test_gpu.sh"
stages 0
[ "$(grep -c ' passed ' "$work/build/cuda/gpu_logs/summary.txt")" = 11 ] || { cat "$work/says"; fail "not all stages passed"; }
row '^knn_curve +passed .* kNN differs by 0 points'
[ "$(grep -c '^overlap=on' "$CALLS")" = 1 ] || fail "overlap is not one stage's"
grep -qx 'overlap= ~\[cudnn\]' "$CALLS" || fail "no stage runs every schedule"
if grep -qx 'overlap=on ~\[cudnn\]' "$CALLS"; then fail "every schedule runs twice"; fi
HANGS=racecheck SAYS='========= Racecheck has begun' stages 3
row '^racecheck +unfinished .*not finished in 2 s, nothing wrong until then'
row '^synccheck +passed'
HANGS=racecheck stages 77 --only racecheck
HANGS=racecheck SAYS='========= Error: Race reported between Write access and Read access' stages 1
row '^racecheck +FAILED .*not finished in 2 s'
HANGS=memcheck SAYS='========= Invalid __global__ read of size 4 bytes' stages 1 --only memcheck

if [ -n "${tests:-}" ]; then  # a comma in a filter is an "or"
  stages 0
  grep -oE '(overlap=on|cuda_tests) .*' "$CALLS" | cut -d ' ' -f 2- | tr ',' '\n' | sort -u >"$work/filters"
  [ "$(wc -l <"$work/filters")" -ge 10 ] || fail "found too few filters"
  while read -r filter; do
    names=$("$tests" --list-test-names-only "$filter" || true)  # Catch2 ends with how many there are
    [ -n "$names" ] || fail "no test of cuda_tests is in '$filter'"
  done <"$work/filters"
fi
echo passed
