#!/usr/bin/env bash
# The program on a CUDA device, from its command line: trains, saves, resumes bit for bit, evaluates, and says what it
# ran on.    test_cli.sh build/emulate/tools/simsiam
set -euo pipefail
simsiam=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "FAILED: $*" >&2; exit 1; }
expect() {  # exit code, text of the message, arguments...
  local code=0
  "$simsiam" "${@:3}" > "$work/said" 2>&1 || code=$?
  [ $code = "$1" ] || { cat "$work/said"; fail "exit code $code, not $1: ${*:3}"; }
  grep -q -- "$2" "$work/said" || { cat "$work/said"; fail "does not say '$2': ${*:3}"; }
}
toy=(--data synthetic --set data.limit=64 net.widths=[4,8] net.blocks=[1,1] projector.widths=[16,16] predictor.hidden=4
     train.batch=16 train.steps=12 augment.preset=cifar monitor.checkpoint_every=1 monitor.checkpoint_seconds=0 monitor.keep_checkpoints=9)

expect 0 'cuda' info
expect 0 'cuda (emulated)' train --device cuda --out "$work/whole" "${toy[@]}"
grep -q '"stopgrad.device":"cuda (emulated)"' <(head -c 20000 "$work/whole/checkpoint-000012.safetensors" | tr -d '\0') ||
  fail "the checkpoint does not say what it was trained on"
grep -q 'stopgrad.library_plans.*conv forward' <(head -c 20000 "$work/whole/checkpoint-000012.safetensors" | tr -d '\0') ||
  fail "the checkpoint does not say which algorithms the libraries took"
cp -r "$work/whole" "$work/part"
rm "$work/part/checkpoint-000008.safetensors" "$work/part/checkpoint-000012.safetensors"
expect 0 'resumed from .* at step 4' train --device cuda --out "$work/part" --resume auto "${toy[@]}"
cmp "$work/whole/checkpoint-000012.safetensors" "$work/part/checkpoint-000012.safetensors" ||
  fail "the resumed run ends in other bits"
rm "$work/part/checkpoint-000008.safetensors" "$work/part/checkpoint-000012.safetensors"
expect 0 'bits may differ .*: device cuda (emulated) then, cpu now' train --device cpu --out "$work/part" --resume auto "${toy[@]}"
expect 0 'threads' train --device auto --out "$work/auto" "${toy[@]}"
expect 0 'knn' eval "$work/whole/checkpoint-000012.safetensors" --device cuda --data synthetic --limit 64 --no-linear
expect 3 'choose auto, cpu, cuda or cuda:N' train --device gpu --out "$work/x" "${toy[@]}"
expect 8 'cuda:3: this machine has 1 device' train --device cuda:3 --out "$work/x" "${toy[@]}"
expect 3 'choose float32 on the CPU' train --device cpu --precision tf32 --out "$work/x" "${toy[@]}"
expect 0 'cuda (emulated)' train --device cuda --precision bf16 --out "$work/half" "${toy[@]}"
toy+=(train.steps=1)
STOPGRAD_PLAN_SEARCH=auto XDG_CACHE_HOME=$work/cache expect 0 'cuda (emulated)' train --device cuda --out "$work/searched" "${toy[@]}"
grep -q 'conv backward weight' "$work"/cache/stopgrad/plans-*.txt || fail "the search kept no plans"
STOPGRAD_PLAN_SEARCH=auto XDG_CACHE_HOME= HOME=/dev/null expect 0 'cannot be written' train --device cuda --out "$work/homeless" "${toy[@]}"
STOPGRAD_PLAN_SEARCH=fast expect 3 'choose auto or off' train --device cuda --out "$work/x" "${toy[@]}"
echo "the program runs on CUDA"
