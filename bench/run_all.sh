#!/usr/bin/env bash
# Produces the figures of the whole project, stage by stage, each stage in a call of under nine minutes on a GPU; what a
# stage has measured stays, and a stage that is called again goes on where it ended. Every call ends with
# results.json and results.md of all there is so far. Needs Python with PyTorch for the comparisons.
#   bench/run_all.sh --stage step|b2-512|b2-small|r50|kernels [--device cuda|cpu] [--out DIR] [--python PYTHON]
#                    [--again] [--quick]
# Ranked: step, b2-512, b2-small, r50, kernels. --again forgets what the stage measured; --quick takes a tiny net and the
# fewest rounds (the test of this script). On the CPU the stages take the nets a and b.
set -uo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
stage="" device=cuda out=results python=python3 again="" quick=""
while [ $# -gt 0 ]; do
  case $1 in
    --stage) stage=$2; shift ;;
    --device) device=$2; shift ;;
    --out) out=$2; shift ;;
    --python) python=$2; shift ;;
    --again) again=1 ;;
    --quick) quick=1 ;;
    *) sed -n '2,9s/^# \?//p' "$0" >&2; exit 2 ;;
  esac
  shift
done
case $stage in
  step | b2-512 | b2-small | r50 | kernels) ;;
  *) echo "run_all: --stage is one of step, b2-512, b2-small, r50, kernels" >&2; exit 2 ;;
esac
mkdir -p "$out" && out=$(cd "$out" && pwd) || exit 9
[ -z "$again" ] || rm -f "$out/$stage".*.json
find_program() {
  local place
  for place in "$root/bin" "$root/build/cuda/bench" "$root/build/release/bench"; do
    [ -x "$place/$1" ] && { echo "$place/$1"; return; }
  done
}
bench=${BENCH_STEP:-$(find_program bench_step)}
[ -n "$bench" ] || { echo "run_all: bench_step is not built (cmake --build --preset release --target bench_step)" >&2; exit 2; }

limit=520 failed=0
# piece NAME COMMAND...: its JSON becomes $out/$stage.NAME.json, from {out} in the command or from what it prints. One that
# is there already, or for which no time is left, is not run.
piece() {
  local name=$1 file=$out/$stage.$1.json left=$((limit - SECONDS)) status
  shift
  [ -s "$file" ] && { echo "== $stage $name: there"; return; }
  if [ "$left" -lt 5 ]; then
    echo "== $stage $name: no time left; call the stage again"
    failed=1
    return
  fi
  local command=("${@//\{out\}/$file.part}")
  echo "== $stage $name: ${*//$root\//}"
  if [[ "$*" == *"{out}"* ]]; then timeout "$left" "${command[@]}"
  else timeout "$left" "${command[@]}" >"$file.part"; fi
  status=$?
  if [ $status -eq 0 ] && "$python" "$root/bench/merge_results.py" --wrap "$file.part" "$file" -- "${*//$root\//}"; then
    echo "== $stage $name: $SECONDS s since the start"
  else
    echo "== $stage $name: FAILED with $status"
    failed=1
  fi
  rm -f "$file.part"
}
step() { piece "$1" "$bench" --device "$device" --json "${@:2}"; }
compare() {
  piece "$1" "$python" "$root/bench/peers/compare_step.py" --device "$device" --bench "$bench" --rounds $rounds \
    --out '{out}' "${@:2}"
}
augment() { piece augment "$python" "$root/bench/peers/augment_peers.py" --device "$device" --bench "$bench" --out '{out}' "$@"; }

# Compiled code is kept between calls, except where the cold start is measured (b2-512, b2).
kept=(--inductor-cache "$out/inductor")
rounds=5 breakdown=(--breakdown --breakdown-steps 5)
[ -n "$quick" ] && rounds=2
case $device-$stage${quick:+-quick} in
  *-kernels*)
    kernels=$(find_program bench_kernels)
    [ -n "$kernels" ] || { echo "stage kernels: bench_kernels is not built" >&2; exit 2; }
    hidden=()
    [ "$device" = cuda ] || hidden=(env CUDA_VISIBLE_DEVICES=)  # it takes the GPU where there is one
    piece kernels "${hidden[@]}" "$kernels" --benchmark_out='{out}' --benchmark_out_format=json
    ;;
  *-step-quick)
    step tiny --net tiny --steps 7 "${breakdown[@]}" --trace "$out/tiny.trace.json"
    ;;
  *-b2-512-quick) compare tiny-b1 --net tiny --variant b1 --threads 1 ;;
  cuda-step)
    for batch in 512 128 64; do
      step "resnet18-$batch-bf16" --net resnet18-cifar --batch $batch --precision bf16 --steps 20 "${breakdown[@]}" \
        --trace "$out/resnet18-$batch-bf16.trace.json"
    done
    for round in 1 2 3; do  # in turns: less than 1 % is expected
      for overlap in on off; do
        piece "resnet18-512-overlap-$overlap-$round" env STOPGRAD_OVERLAP=$overlap "$bench" --device cuda --json \
          --net resnet18-cifar --precision bf16 --steps 20
      done
    done
    step resnet18-512-branch --net resnet18-cifar --precision bf16 --form branch --steps 20
    step resnet18-512-tf32 --net resnet18-cifar --precision tf32 --steps 20 "${breakdown[@]}"
    augment --compile
    ;;
  cuda-b2-512)
    for variant in b1 b0 b2; do compare resnet18-512-$variant --net resnet18-cifar --variant $variant --bf16; done
    compare resnet18-512-b2g --net resnet18-cifar --variant b2g --bf16 "${kept[@]}"
    compare resnet18-512-b0-tf32 --net resnet18-cifar --variant b0 --precision tf32
    ;;
  cuda-b2-small)
    for batch in 64 128; do compare resnet18-$batch-b1 --net resnet18-cifar --batch $batch --variant b1 --bf16; done
    for variant in b2 b2g; do
      for batch in 64 128; do
        compare resnet18-$batch-$variant --net resnet18-cifar --batch $batch --variant $variant --bf16 "${kept[@]}"
      done
    done
    ;;
  cuda-r50)
    step resnet50-256-bf16 --net resnet50 --precision bf16 --steps 6 "${breakdown[@]}" --trace "$out/resnet50.trace.json"
    rounds=3
    compare resnet50-256-b1 --net resnet50 --variant b1 --bf16 --steps 3
    compare resnet50-256-b2 --net resnet50 --variant b2 --bf16 --steps 3 "${kept[@]}"
    ;;
  cpu-step)
    for net in a b; do step $net-float32 --net $net --steps 7 "${breakdown[@]}" --trace "$out/$net.trace.json"; done
    if grep -q avx512_bf16 /proc/cpuinfo; then
      for net in a b; do step $net-bf16 --net $net --precision bf16 --steps 7 "${breakdown[@]}"; done
    fi
    augment
    ;;
  cpu-b2-small)
    for net in a b; do compare $net-float32 --net $net; done
    if grep -q avx512_bf16 /proc/cpuinfo; then
      for net in a b; do compare $net-bf16 --net $net --bf16 --torch-bf16; done
    fi
    ;;
  *)
    echo "run_all: stage $stage has no sizes for --device $device${quick:+ --quick}" >&2
    exit 2
    ;;
esac
"$python" "$root/bench/merge_results.py" "$out" || failed=1
exit $failed
