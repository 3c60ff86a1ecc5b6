#!/usr/bin/env bash
# Produces the figures of the whole project, stage by stage, each stage in a call of under nine minutes on a GPU; what a
# stage has measured stays, and a stage that is called again goes on where it ended. Every call ends with
# results.json and results.md of all there is so far. Needs Python with PyTorch for the comparisons.
#   bench/run_all.sh --stage step|b2-512|b2-small|r50|kernels [--device cuda|cpu] [--out DIR] [--python PYTHON]
#                    [--again] [--quick] [--leave DIR] [--from PIECES.tgz]
# Ranked: step, b2-512, b2-small, r50, kernels. --again forgets what the stage measured; --quick takes a tiny net, tiny
# shapes and the fewest rounds (the test of this script). The CPU has the stages step, b2-small (nets a and b) and kernels.
# For a machine that keeps little: --leave DIR puts there results.json, results.md and all pieces and traces as pieces.tgz;
# --from takes up such an archive, also on a bare machine. What --out has already is not replaced.
# Ends with 1 where a piece failed, ran out of time, or holds a wrong kernel.
set -uo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
stage="" device=cuda out=results python=python3 again="" quick="" leave="" from=""
while [ $# -gt 0 ]; do
  case $1 in
    --stage) stage=$2; shift ;;
    --device) device=$2; shift ;;
    --out) out=$2; shift ;;
    --python) python=$2; shift ;;
    --leave) leave=$2; shift ;;
    --from) from=$2; shift ;;
    --again) again=1 ;;
    --quick) quick=1 ;;
    *) sed -n '2,12s/^# \?//p' "$0" >&2; exit 2 ;;
  esac
  shift
done
case $stage in
  step | b2-512 | b2-small | r50 | kernels) ;;
  *) echo "run_all: --stage is one of step, b2-512, b2-small, r50, kernels" >&2; exit 2 ;;
esac
mkdir -p "$out" && out=$(cd "$out" && pwd) || exit 9
. "$root/tools/gpu_libraries.sh"
if [ -n "$from" ]; then
  tar -xzf "$from" -C "$out" --skip-old-files || { echo "run_all: --from $from: not an archive that --leave has made" >&2; exit 4; }
fi
[ -z "$leave" ] || mkdir -p "$leave" || exit 9
[ -z "$again" ] || rm -f "$out/$stage.$device".*.json
# Shares of one run are of the best ceiling that any of its processes has measured.
ceilings=$out/ceilings.$device.json
[ -z "$again" ] || [ "$stage" != kernels ] || rm -f "$ceilings"
find_program() {
  local place
  for place in "$root/bin" "$root"/build/{cuda,release}/bench{,/ladder}; do
    [ -x "$place/$1" ] && { echo "$place/$1"; return; }
  done
}
needs() {  # variable, program: its path, or the end
  local found=${!1:-$(find_program "$2")}
  [ -n "$found" ] || { echo "run_all: $2 is not built (cmake --build --preset release --target $2)" >&2; exit 2; }
  printf -v "$1" %s "$found"
}
needs BENCH_STEP bench_step

limit=520 failed=0
# piece NAME COMMAND...: its JSON becomes $out/$stage.$device.NAME.json, from {out} in the command or from what it prints.
# One that is there already, or for which no time is left, is not run. A program that ends with 1 has found a wrong kernel:
# the JSON says which, and the others' times stay.
piece() {
  local name=$1 file=$out/$stage.$device.$1.json left=$((limit - SECONDS)) status
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
  if [ $status -le 1 ] && "$python" "$root/bench/merge_results.py" --wrap $status "$file.part" "$file" -- "${*//$root\//}"; then
    echo "== $stage $name: $SECONDS s since the start"
  else
    echo "== $stage $name: FAILED with $status"
    failed=1
  fi
  rm -f "$file.part"
}
step() { piece "$1" "$BENCH_STEP" --device "$device" --json "${@:2}"; }
compare() {
  piece "$1" "$python" "$root/bench/peers/compare_step.py" --device "$device" --bench "$BENCH_STEP" --rounds $rounds \
    --out '{out}' "${@:2}"
}
augment() { piece augment "$python" "$root/bench/peers/augment_peers.py" --device "$device" --bench "$BENCH_STEP" --out '{out}' "$@"; }
kernels() {  # name, filter within the small set, options: bench_kernels takes the GPU unless told
  piece "$1" "${@:4}" "$BENCH_KERNELS" --device "$device" $shapes --ceilings "$ceilings" --benchmark_filter="$2" $3 --benchmark_out='{out}' \
    --benchmark_out_format=json
}
# turn ROUND-BATCH NAME VARIABLE=VALUE... -- OPTIONS: one technique on or off; merge_results.py divides those of a round.
turn() {
  local name=turn-$1-$2 settings=()
  shift 2
  while [ "$1" != -- ]; do settings+=("$1"); shift; done
  piece "$name" env "${settings[@]}" "$BENCH_STEP" --device "$device" --json --net "$net" "${@:2}"
}
turns() {  # ROUND-BATCH OPTIONS...
  turn "$1" base -- --precision bf16 "${@:2}"
  turn "$1" eager -- --precision bf16 --eager "${@:2}"
}
more_turns() {
  turn "$1" unsearched STOPGRAD_PLAN_SEARCH=off -- --precision bf16 "${@:2}"
  turn "$1" two-passes STOPGRAD_ON_CHIP=off -- --precision bf16 "${@:2}"
  turn "$1" overlap STOPGRAD_OVERLAP=on -- --precision bf16 "${@:2}"
  turn "$1" branch -- --precision bf16 --form branch "${@:2}"
  turn "$1" tf32 -- --precision tf32 "${@:2}"
}

# Compiled code is kept between calls, except where the cold start is measured (b2-512, b2).
kept=(--inductor-cache "$out/inductor")
rounds=5 breakdown=(--breakdown --breakdown-steps 5) net=resnet18-cifar shapes=--small
[ -n "$quick" ] && rounds=2
case $device-$stage${quick:+-quick} in
  *-kernels-quick)
    needs BENCH_KERNELS bench_kernels
    shapes="--max_time=0.002 --benchmark_min_time=0.001"
    kernels normalize 'normalize.*/r7_c5$' ""
    kernels sgd 'sgd.*/n1003$' ""
    needs BENCH_KNN bench_knn
    piece knn "$BENCH_KNN" --device "$device" --bank 300 --queries 20 --width 16 --k 5 --rounds 2 --json
    ;;
  *-kernels)
    needs BENCH_KERNELS bench_kernels
    families=(batch_norm conv2d gemm cosine_loss augment 'sgd|moving_average')
    if [ "$device" = cuda ]; then
      needs BENCH_LADDER bench_ladder
      for round in 1 2 3; do  # the kernels of which there is another form, in turns
        for on_chip in on off; do
          kernels batch_norm-on-chip-$on_chip-$round 'batch_norm_(fwd|bwd)/cuda/bf16/(r65536_c64|r1024_c512|g2_r512_c2048)_relu$' "" \
            env STOPGRAD_ON_CHIP=$on_chip
        done
      done
    fi
    for family in "${families[@]}"; do kernels "${family%%|*}" "BM_($family)" ""; done
    kernels others "-BM_($(IFS='|'; echo "${families[*]}"))" ""
    needs BENCH_KNN bench_knn
    piece knn "$BENCH_KNN" --device "$device" --json
    if [ "$device" = cuda ]; then
      for topic in batch_norm_forward batch_norm_backward cosine_loss_forward cosine_loss_backward augment; do
        piece ladder-$topic "$BENCH_LADDER" $topic --json
      done
    fi
    ;;
  *-step-quick)
    step tiny --net tiny --steps 7 "${breakdown[@]}" --trace "$out/$device-tiny.trace.json"
    net=tiny
    for round in 1 2; do turns $round-16 --steps 2; done
    needs BENCH_GROWTH bench_growth
    piece growth "$BENCH_GROWTH" --only threads --steps 1 --out "$out" --json
    ;;
  *-b2-512-quick) compare tiny-b1 --net tiny --variant b1 --threads 1 ;;
  cuda-step)
    for batch in 512 128 64; do
      step "resnet18-$batch-bf16" --net $net --batch $batch --precision bf16 --steps 20 "${breakdown[@]}" \
        --trace "$out/resnet18-$batch-bf16.trace.json"
    done
    for round in 1 2 3; do  # in turns: some of the differences are below 1 %
      turns $round-512 --batch 512 --steps 10
      more_turns $round-512 --batch 512 --steps 10
      turns $round-64 --batch 64 --steps 10
    done
    step resnet18-512-tf32 --net $net --precision tf32 --steps 20 "${breakdown[@]}"
    augment --compile
    ;;
  cuda-b2-512)
    for variant in b1 b0 b2; do compare resnet18-512-$variant --net $net --variant $variant --bf16; done
    compare resnet18-512-b2g --net $net --variant b2g --bf16 "${kept[@]}"
    compare resnet18-512-b0-tf32 --net $net --variant b0 --precision tf32
    ;;
  cuda-b2-small)
    for batch in 64 128; do compare resnet18-$batch-b1 --net $net --batch $batch --variant b1 --bf16; done
    for variant in b2 b2g; do
      for batch in 64 128; do
        compare resnet18-$batch-$variant --net $net --batch $batch --variant $variant --bf16 "${kept[@]}"
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
    needs BENCH_GROWTH bench_growth
    piece growth "$BENCH_GROWTH" --out "$out" --json
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
"$python" "$root/bench/merge_results.py" "$out" "$stage" || failed=1
if [ -n "$leave" ]; then  # compiled code is not worth its size
  cp "$out"/results.{json,md} "$leave" &&
    (cd "$out" && find . -maxdepth 1 -type f ! -name '*.part' ! -name 'results.*' -print0) |
    tar -C "$out" --null -T - -czf "$leave/pieces.tgz" || { echo "run_all: --leave $leave: cannot be written" >&2; exit 9; }
fi
exit $failed
