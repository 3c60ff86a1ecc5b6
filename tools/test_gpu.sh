#!/usr/bin/env bash
# The day there is a GPU, in under nine minutes: every CUDA schedule against the CPU's, batch norm against cuDNN's,
# golden steps, run-twice and resume bits, NVIDIA's compute-sanitizer, and a short CIFAR-10 training on both devices.
# Prints a table at the end. What cannot run here is named and the rest goes on; what has found nothing wrong when its
# time is over has neither passed nor failed.
#   tools/test_gpu.sh [BUILD] [--out DIR] [--only STAGE]...     BUILD: build/cuda, from cmake --preset cuda and a build
#   DIR gets summary.txt, the table, and logs.tgz, which is all of BUILD/gpu_logs: a lent machine brings few files back
#   STOPGRAD_CIFAR10=DIR    folder of CIFAR-10's binary files, for the training
# Exit code 1: a stage failed; 3: none failed, but one did not finish; 77: with --only none failed and none passed.
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
deadline=$((SECONDS + 530)) table=() failed=0 unfinished=0 passed=0
row() { table+=("$(printf '%-14s %-10s %5s s  %s' "$1" "$2" "$3" "$4")"); }
# What Catch2 and the sanitizers write of what is wrong, also where they were stopped.
finding='with expansion:|due to unexpected exception|^=+ (Error|Warning: Race|Invalid|Misaligned|Program hit|Barrier|Uninitialized|.* hazard)'
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
    0) passed=1; row "$name" passed $((SECONDS - start)) "$last" ;;
    77) row "$name" "not run" $((SECONDS - start)) "$last" ;;
    124 | 137)
      if grep -qE "$finding" "$log"; then failed=1; row "$name" FAILED $((SECONDS - start)) "and not finished in $limit s: $log"
      else unfinished=1; row "$name" unfinished $((SECONDS - start)) "not finished in $limit s, nothing wrong until then: $log"; fi ;;
    *) failed=1; row "$name" FAILED $((SECONDS - start)) "exit code $code: $log" ;;
  esac
}

# One tool over some cases in small shapes: each launch costs a tool up to a thousand times its time. A tool that writes no
# summary was never attached.
sanitize() {
  local tool=$1 code=0 options=()
  command -v compute-sanitizer >/dev/null || { echo "compute-sanitizer is not here"; return 77; }
  # The tests of [graph] ask for what CUDA refuses; every status is checked by the program itself.
  [ "$tool" != memcheck ] || options=(--report-api-errors no)
  STOPGRAD_TEST_ELEMENTS=1200 compute-sanitizer --tool "$tool" "${options[@]}" --error-exitcode 86 "$schedules" "$2" || code=$?
  if ! grep -q 'SUMMARY' "$logs/$tool.log"; then echo "$tool could not attach: $(tail -1 "$logs/$tool.log")"; return 77; fi
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
stage overlap 60 env STOPGRAD_OVERLAP=on "$schedules" '[batch_norm]~[cudnn],[elementwise],[graph]'
stage cudnn 60 "$schedules" '[cudnn]'
stage ladder 60 "$ladder"
stage golden 30 "$steps" '[golden]'
stage steps 240 "$steps" '~[golden]'
stage knn_curve 150 knn_curve
# Every kernel of ours for what it touches; for races and barriers a case of each whose threads share memory.
sharing='views at an odd address*,batch norm on CUDA adds to gradients*,a batch norm read once*,gradients that share memory*'
sharing+=',rows become unit vectors*,a summary of whole numbers*,column sums on CUDA*,the statistics of unit rows on CUDA know*'
sharing+=',a label outside the classes*,similarity gradients on CUDA*,ties go to the lower index*,a k too large for shared memory*'
for tool in memcheck initcheck; do stage $tool 90 sanitize $tool '~[conv2d]~[gemm]~[cudnn]~[plans]'; done
for tool in racecheck synccheck; do stage $tool 90 sanitize $tool "$sharing"; done

echo
"$simsiam" info | grep -i '^cuda' | head -1
printf '%s\n' "${table[@]}" | tee "$out/summary.txt"
[ "$out" = "$logs" ] || tar -czf "$out/logs.tgz" --exclude '*.safetensors' -C "$build" gpu_logs
[ $failed = 0 ] || exit 1
[ $passed = 1 ] || [ ${#only[@]} = 0 ] || exit 77
[ $unfinished = 0 ] || exit 3
