#!/usr/bin/env bash
# The day there is a GPU, in under nine minutes: every CUDA schedule against the CPU's, batch norm against cuDNN's,
# golden steps, run-twice and resume bits, NVIDIA's compute-sanitizer, and a short CIFAR-10 training on both devices.
# Prints a table at the end. What cannot run here is named and the rest goes on.
#   tools/test_gpu.sh [BUILD] [--out DIR] [--only STAGE]...     BUILD: build/cuda, from cmake --preset cuda and a build
#   DIR gets summary.txt, the table, and logs.tgz, which is all of BUILD/gpu_logs: a lent machine brings few files back
#   STOPGRAD_CIFAR10=DIR    folder of CIFAR-10's binary files, for the training
# Exit code 1: a stage failed; 77: none failed, but with --only none ran.
set -uo pipefail
cd "$(dirname "$0")/.."
build=build/cuda out=${OUT:-} only=()
while [ $# -gt 0 ]; do
  case $1 in
    --out) out=$2; shift 2 ;;
    --only) only+=("$2"); shift 2 ;;
    -*) echo "usage: tools/test_gpu.sh [BUILD] [--out DIR] [--only STAGE]..." >&2; exit 2 ;;
    *) build=$1; shift ;;
  esac
done
logs=$build/gpu_logs
out=${out:-$logs}
mkdir -p "$out" "$logs" || exit 2
. tools/gpu_libraries.sh
tests=$build/tests/cuda simsiam=$build/tools/simsiam
schedules=$tests/cuda_tests steps=$tests/cuda_training_tests ladder=$tests/cuda_ladder_tests
deadline=$((SECONDS + 530)) table=() failed=0 ran=0
row() { table+=("$(printf '%-14s %-9s %5s s  %s' "$1" "$2" "$3" "$4")"); }
wanted() { [ ${#only[@]} = 0 ] || [[ " ${only[*]} " = *" $1 "* ]]; }

# stage NAME SECONDS COMMAND...: 0 passes, 77 did not run for the reason in its last line, all else fails.
stage() {
  local name=$1 limit=$2 start=$SECONDS log=$logs/$1.log code=0 left=$((deadline - SECONDS))
  wanted "$name" || return 0
  if [ $left -lt 5 ]; then row "$name" "not run" 0 "the nine minutes are over"; return; fi
  [ "$limit" -lt $left ] || limit=$left
  echo "== $name"
  timeout -k 5 "$limit" bash -c '"$@"' - "${@:3}" >"$log" 2>&1 || code=$?
  local last
  last=$(grep -v '^=*$' "$log" | tail -1 | cut -c1-90)
  case $code in
    0) ran=1; row "$name" passed $((SECONDS - start)) "$last" ;;
    77) row "$name" "not run" $((SECONDS - start)) "$last" ;;
    124 | 137) failed=1; row "$name" FAILED $((SECONDS - start)) "not done in $limit s: $log" ;;
    *) failed=1; row "$name" FAILED $((SECONDS - start)) "exit code $code: $log" ;;
  esac
}

# One tool over our own kernels on small shapes. A tool that writes no summary was never attached.
sanitize() {
  local tool=$1 log=$logs/$1.sanitizer code=0 options=()
  command -v compute-sanitizer >/dev/null || { echo "compute-sanitizer is not here"; return 77; }
  # The tests of [graph] ask for what CUDA refuses; every status is checked by the program itself.
  [ "$tool" != memcheck ] || options=(--report-api-errors no)
  STOPGRAD_TEST_ELEMENTS=20000 compute-sanitizer --tool "$tool" "${options[@]}" --error-exitcode 86 "$schedules" \
    '~[conv2d]~[gemm]~[cudnn]~[plans]' >"$log" 2>&1 || code=$?
  tail -40 "$log"
  if ! grep -q 'SUMMARY' "$log"; then echo "$tool could not attach: $(tail -1 "$log")"; return 77; fi
  return $code
}

knn_curve() {
  [ -n "${STOPGRAD_CIFAR10:-}" ] || { echo "STOPGRAD_CIFAR10 names no folder of CIFAR-10's binary files"; return 77; }
  tests/cuda/knn_curve.sh "$simsiam" "cifar10:$STOPGRAD_CIFAR10" "$logs/knn_curve"
}

export schedules simsiam logs
export -f sanitize knn_curve
for program in "$schedules" "$steps" "$ladder" "$simsiam"; do
  [ -x "$program" ] || { echo "$program is not built: cmake --preset cuda && cmake --build --preset cuda" >&2; exit 2; }
done
stage schedules 120 "$schedules" '~[cudnn]'
stage overlap 120 env STOPGRAD_OVERLAP=on "$schedules" '~[cudnn]'
stage cudnn 60 "$schedules" '[cudnn]'
stage ladder 60 "$ladder"
stage golden 30 "$steps" '[golden]'
stage steps 240 "$steps" '~[golden]'
stage knn_curve 150 knn_curve
for tool in memcheck racecheck synccheck initcheck; do stage $tool 90 sanitize $tool; done

echo
"$simsiam" info | grep -i '^cuda' | head -1
printf '%s\n' "${table[@]}" | tee "$out/summary.txt"
[ "$out" = "$logs" ] || tar -czf "$out/logs.tgz" --exclude '*.safetensors' -C "$build" gpu_logs
[ $failed = 0 ] || exit 1
[ $ran = 1 ] || [ ${#only[@]} = 0 ] || exit 77
