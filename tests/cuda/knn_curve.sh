#!/usr/bin/env bash
# The same short training on the CPU and on CUDA: after every epoch kNN must agree within a bound, and at the end of
# both it must have risen.
#   knn_curve.sh SIMSIAM DATA OUT [ARGUMENTS OF TRAIN...]        BOUND=2 (percentage points)
# Float rounding differs between the devices and training carries a difference on, so that curves part; docs/decisions.md
# has how far two trainings on one device part when only their rounding differs.
set -euo pipefail
simsiam=$1 data=$2 out=$3 bound=${BOUND:-2}
shift 3
recipes=tools/recipes
[ -d $recipes ] || recipes=share/stopgrad/recipes  # in a folder that tools/pack_gpu.sh made
rm -rf "$out"
for device in cpu cuda; do
  "$simsiam" train $recipes/cifar10_small.toml --data "$data" --device $device --out "$out/$device" --quiet --precision fp32 \
    --set data.limit=12800 train.steps=400 monitor.knn_every=1 monitor.checkpoint_every=0 "$@"
  sed -n 's/.*"step":\([0-9]*\),.*"knn":\([0-9.]*\).*/\1 \2/p' "$out/$device/metrics.jsonl" >"$out/$device.knn"
done
paste -d ' ' "$out/cpu.knn" "$out/cuda.knn" | awk -v bound="$bound" -v most=0 '
  { gap = $2 > $4 ? $2 - $4 : $4 - $2; printf "step %5d  cpu %6.2f %%  cuda %6.2f %%  apart %5.2f\n", $1, $2, $4, gap }
  $1 != $3 || NF != 4 { wrong = "the two curves have other steps" }
  NR == 1 { first = $2 }
  gap > most { most = gap }
  { last = $2; other = $4 }
  END {
    if (NR < 3) wrong = "fewer than three evaluations"
    if (most > bound) wrong = "kNN differs by " most " points, more than " bound
    if (last <= first || other <= first) wrong = "kNN did not rise"
    print wrong ? "FAILED: " wrong : "kNN differs by " most " points at most, " bound " are allowed"
    exit wrong != ""
  }'
