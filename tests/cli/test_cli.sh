#!/usr/bin/env bash
# The program as a user meets it: every subcommand, exit codes, a killed run that goes on bit for bit.
#   test_cli.sh PATH_TO_SIMSIAM
set -uo pipefail
simsiam=$1
root=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
passed=0 failed=0

check() {  # check NAME COMMAND...: the command must succeed
  local name=$1; shift
  if "$@" >out.txt 2>&1; then passed=$((passed + 1)); else failed=$((failed + 1)); echo "FAILED: $name"; tail -5 out.txt; fi
}
exits() {  # exits CODE TEXT COMMAND...: the exit code, and a text in what it says
  local code=$1 text=$2; shift 2
  timeout 60 "$@" >out.txt 2>&1
  local got=$?
  if [ $got -eq "$code" ] && grep -qiF -- "$text" out.txt; then passed=$((passed + 1))
  else failed=$((failed + 1)); echo "FAILED: expected exit $code and '$text', got $got from: $*"; tail -5 out.txt; fi
}
body() { local n; n=$(od -An -tu8 -N8 "$1"); tail -c +$((n + 9)) "$1" | sha256sum; }
metrics() { sed 's/,"seconds".*//' "$1/metrics.jsonl"; }

cat >toy.toml <<'T'
[data]
set = "synthetic:64"
image_size = 8
[augment]
preset = "cifar"
[net]
widths = [4, 8]
blocks = [1, 1]
[projector]
widths = [16, 16]
[predictor]
hidden = 4
[train]
batch = 16
steps = 40
base_rate = 0.2
[monitor]
checkpoint_seconds = 0
T

check "help" "$simsiam" --help
check "version" "$simsiam" --version
check "info" "$simsiam" info
check "default recipe is a recipe" bash -c "'$simsiam' info --recipe > default.toml && '$simsiam' augment default.toml --data synthetic:16 --set augment.preset=cifar --out v.png"
check "train" "$simsiam" train toy.toml --out whole --quiet

# A run that is killed goes on where its last checkpoint stands, and ends with the same bits.
for _ in $(seq 20); do  # until one is killed between its first checkpoint and its end
  rm -rf parts
  "$simsiam" train toy.toml --out parts --quiet --set monitor.keep_checkpoints=3 >/dev/null 2>&1 &
  victim=$!
  until ls parts/checkpoint-*.safetensors >/dev/null 2>&1 || ! kill -0 $victim 2>/dev/null; do sleep 0.002; done
  kill -KILL $victim 2>/dev/null
  wait $victim 2>/dev/null
  [ -e parts/checkpoint-000040.safetensors ] || break
done
check "killed before its end" test ! -e parts/checkpoint-000040.safetensors
check "resume after SIGKILL" "$simsiam" train toy.toml --out parts --resume auto --quiet
check "same weights and momenta" test "$(body whole/checkpoint-000040.safetensors)" = "$(body parts/checkpoint-000040.safetensors)"
check "same metrics" test "$(metrics whole)" = "$(metrics parts)"
check "the curves of all its parts" cmp whole/curves.html parts/curves.html
check "with loss, spread and rank" bash -c "[ \$(grep -o 'class=.line. d=.[^L]*L' whole/curves.html | wc -l) -ge 3 ]"
exits 2 "holds a run already" "$simsiam" train toy.toml --out whole --quiet
check "two checkpoints" "$simsiam" train toy.toml --out two --quiet
exits 2 "--resume auto" "$simsiam" train toy.toml --resume two/checkpoint-000036.safetensors --out two --quiet
exits 2 "another run" "$simsiam" train toy.toml --resume two/checkpoint-000036.safetensors --out whole --quiet
check "a branch of a run in another folder" "$simsiam" train toy.toml --resume two/checkpoint-000036.safetensors --out branch --quiet
check "the branch's record is its own" test "$(metrics branch)" = "$(metrics two | tail -5)"
cp -r two torn && rm torn/checkpoint-000040.safetensors torn/curves.html && sed -i '1s/./x/g' torn/metrics.jsonl && mkdir torn/curves.html
exits 0 "curves not drawn" "$simsiam" train toy.toml --out torn --resume auto
rmdir torn/curves.html
check "curves of a record with a damaged line" bash -c "'$simsiam' train toy.toml --out torn --resume auto && grep -q '<figure' torn/curves.html"
check "one thread and two give what one gave" bash -c "'$simsiam' train toy.toml --out again --quiet --set train.threads=1 && cmp <(sed 's/,\"seconds\".*//' whole/metrics.jsonl) <(sed 's/,\"seconds\".*//' again/metrics.jsonl)"

"$simsiam" train toy.toml --out term --quiet --set train.steps=100000 >/dev/null 2>&1 &
victim=$!
for _ in $(seq 200); do [ -s term/metrics.jsonl ] && break; sleep 0.02; done
kill -TERM $victim
wait $victim
check "SIGTERM exits with 143" test $? -eq 143
check "SIGTERM leaves a checkpoint" bash -c 'ls term/checkpoint-*.safetensors'
check "and curves" grep -q '<figure' term/curves.html

# What an interrupted run prints is what goes on with it, and gives what a run without a break gives.
long=(--set train.steps=600 train.decay=0.001)
check "a longer run" "$simsiam" train toy.toml --out unbroken --quiet "${long[@]}"
"$simsiam" train toy.toml --out broken "${long[@]}" >broken.txt 2>&1 &
victim=$!
for _ in $(seq 200); do [ -s broken/metrics.jsonl ] && break; sleep 0.02; done
kill -INT $victim
wait $victim
check "SIGINT exits with 130" test $? -eq 130
command=$(sed -n 's/.*go on with: simsiam //p' broken.txt)
check "the printed command goes on" bash -c "'$simsiam' $command --quiet"
check "to the same end" test "$(body unbroken/checkpoint-000600.safetensors)" = "$(body broken/checkpoint-000600.safetensors)"

"$simsiam" train toy.toml --out hup --quiet --set train.steps=100000 2>/dev/null &
victim=$!
for _ in $(seq 200); do [ -s hup/metrics.jsonl ] && break; sleep 0.02; done
caught=$(sed -n 's/^SigCgt:\t//p' /proc/$victim/status)
check "no handler runs on the stack of a thread that computes" test $((0x$caught & 0x4003)) -eq 0
kill -HUP $victim
wait $victim
check "SIGHUP exits with 129" test $? -eq 129
check "SIGHUP leaves a checkpoint" bash -c 'ls hup/checkpoint-*.safetensors'
mkdir unsaved && cp term/recipe.toml unsaved
sed -i 's/^steps = .*/steps = 3/' unsaved/recipe.toml
check "a run without a checkpoint begins again by its recipe" "$simsiam" train --out unsaved --resume auto --quiet
check "with its own images and steps" test -e unsaved/checkpoint-000003.safetensors
exits 2 "nothing to go on from" "$simsiam" train --out nothing --resume auto
exits 2 "--out is empty" "$simsiam" train toy.toml --out ""
mkdir -p pictures
exits 3 "did you mean --data folder:pictures" "$simsiam" train pictures --out e
check "nobody to tell is no reason to end" bash -c "'$simsiam' train toy.toml --out silent --set train.steps=3 2>/dev/full && [ -e silent/checkpoint-000003.safetensors ]"
exits 9 "cannot write" bash -c "'$simsiam' info --recipe >/dev/full"
printf x >"pictures/$(printf 'a\033]0;name\007.jpg')"
check "names of files do not reach the terminal raw" bash -c "'$simsiam' augment toy.toml --data pictures --out p.html 2>&1 | grep -a 'a?.0;name?.jpg' | grep -qav $(printf '\033')"

# A disk that is full: files may not grow past 8 KiB. What the run ends with cannot be saved, and it says so.
bash -c "ulimit -f 8; exec '$simsiam' train toy.toml --out full --quiet --set train.steps=100000" >full.txt 2>&1 &
victim=$!
for _ in $(seq 200); do [ -s full/metrics.jsonl ] && break; sleep 0.02; done
kill -TERM $victim
wait $victim
check "a last checkpoint that cannot be written exits with 9" test $? -eq 9
check "and sends nobody to resume it" bash -c "! grep -q 'go on with' full.txt"

# The record of steps that were lost cannot be cut off while a program runs from it.
cp -r two busy
rm busy/checkpoint-000040.safetensors busy/metrics.jsonl
cp "$(command -v sleep)" busy/metrics.jsonl
busy/metrics.jsonl 30 &
sleeper=$!
exits 9 "cannot cut" "$simsiam" train toy.toml --out busy --resume auto --quiet
kill $sleeper
wait $sleeper 2>/dev/null

last=whole/checkpoint-000040.safetensors
check "eval" bash -c "'$simsiam' eval $last --json --baselines --robust --linear-epochs 2 | grep -q '\"backbone_unchanged\":true'"
check "eval of fewer images than a batch" bash -c "'$simsiam' eval $last --limit 8 --baselines --no-linear --json | grep -q knn_untrained"
exits 2 "two training images" "$simsiam" eval $last --limit 1 --baselines
check "features" "$simsiam" features $last --out f.safetensors --page n.html --queries 2 --neighbours 3
check "features of both splits can be inspected" bash -c "'$simsiam' inspect f.safetensors | grep -q 'features .*F32 .*\[76,8\]'"
check "features of one split" bash -c "'$simsiam' features whole --split test --out t.safetensors --page n.html && '$simsiam' inspect t.safetensors | grep -q 'features .*F32 .*\[12,8\]'"

# A folder of photographs: every one is embedded and named, damaged ones are left out.
mkdir -p photos/sub
base64 -d >photos/dot.png <<'PNG'
iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGNocFAAAAIkAOGrWWInAAAAAElFTkSuQmCC
PNG
mv photos/dot.png 'photos/sub/a "b",c.png'
for i in $(seq 10 28); do cp photos/sub/a* "photos/sub/$i.png"; done
check "features of a folder" "$simsiam" features whole --data folder:photos --out p.safetensors --csv p.csv --page p.html --queries 2 --neighbours 3
check "a row and a name for every image" bash -c "'$simsiam' inspect p.safetensors | grep -q 'features .*\[20,8\]' && [ \$(tr '\0' '\n' <p.safetensors | grep -a -c '^sub/.*png\$') -ge 19 ]"
check "a table with a line for every image" bash -c "[ \$(wc -l <p.csv) -eq 21 ] && grep -q '^\"sub/a \"\"b\"\",c.png\",,[-0-9.]' p.csv && head -1 p.csv | grep -q '^name,label,f0,.*,f7\$'"
check "names on the page" bash -c "[ \$(grep -o 'sub/[^ ]*png' p.html | wc -l) -ge 8 ]"
for i in $(seq 30 45); do echo damaged >"photos/sub/$i.png"; done
exits 4 "data.max_bad" "$simsiam" train toy.toml --data folder:photos --set data.image_size=8 --out damaged
exits 0 "sub/45.png" "$simsiam" train toy.toml --data folder:photos --set data.image_size=8 data.max_bad=16 train.steps=1 --out damaged
check "features of what can be read" bash -c "'$simsiam' features whole --data photos --out p.safetensors --page p.html && '$simsiam' inspect p.safetensors | grep -q 'features .*\[20,8\]'"
exits 7 "data.image_size" "$simsiam" train toy.toml --data synthetic:4000000000 --set data.image_size=1024 --out e
exits 4 "write \$HOME" "$simsiam" train toy.toml --data "folder:~/photos" --out e
exits 5 "no checkpoint that can be read" "$simsiam" eval pictures
exits 3 "train.momentum" "$simsiam" train toy.toml --set train.momentum=nan --out e
check "a run's folder is its newest checkpoint" bash -c "'$simsiam' eval two --no-linear --json | grep -q 'two/checkpoint-000040' && '$simsiam' inspect two --names | grep -q 'stopgrad.step = 40'"
check "a branch from a run's folder" "$simsiam" train toy.toml --resume two --out branch_of_folder --quiet
check "inspect" bash -c "'$simsiam' inspect $last --recipe | grep -q 'encoder.layer1.0.conv1.weight'"
check "export" "$simsiam" export whole --out backbone.safetensors
check "the backbone says what it is fed" bash -c "'$simsiam' inspect backbone.safetensors --names | tr -d '\"' >meta && grep -qxF 'stopgrad.mean = [0.4914, 0.4822, 0.4465]' meta && grep -qxF 'stopgrad.std = [0.2023, 0.1994, 0.201]' meta && grep -qxF 'stopgrad.image_size = 8x8x3' meta"
check "export has torchvision's names" bash -c "'$simsiam' inspect backbone.safetensors --names | grep -q '^layer2.0.downsample.1.num_batches_tracked *I64'"
check "augment page" "$simsiam" augment toy.toml --out views.html --images 2 --views 2
check "graph as text shows the walls" bash -c "[ \$('$simsiam' graph toy.toml | grep -c detach) -eq 2 ]"
check "graph without the wall shows none" bash -c "[ \$('$simsiam' graph toy.toml --no-wall | grep -c detach) -eq 0 ]"
check "graph as svg, dot, json" bash -c "'$simsiam' graph toy.toml --out g.svg && '$simsiam' graph toy.toml --out g.dot && '$simsiam' graph toy.toml --out g.json && grep -q '<svg' g.svg"
check "demo" "$simsiam" demo toy.toml --out demo --quiet
check "a shorter demo in the same folder" "$simsiam" demo toy.toml --out demo --quiet --set train.steps=20
check "its checkpoints are there, the earlier demo's are not" test "$(echo demo/*/*.safetensors)" = "demo/with_wall/checkpoint-000020.safetensors demo/without_wall/checkpoint-000020.safetensors"
check "demo's summary" bash -c "grep -q robust_knn_trained demo/summary.json && [ -s demo/curves.html ] && [ -s demo/graph.svg ]"
check "recipes that ship are recipes" bash -c "for r in '$root'/tools/recipes/*.toml; do '$simsiam' graph \"\$r\" --data synthetic:64 --set augment.preset=cifar --set data.image_size=32 --set train.batch=4 >/dev/null || exit 1; done"

exits 2 "subcommand" "$simsiam"
exits 2 "--nonsense" "$simsiam" train --nonsense
exits 3 "train.batch" "$simsiam" train toy.toml --set train.batsh=3 --out e
exits 3 "did you mean" "$simsiam" train toy.toml --set net.backbone=resnet19 --out e
exits 3 "train.batch = 1" "$simsiam" train toy.toml --set train.batch=1 --out e
exits 3 "cannot read the recipe" "$simsiam" train none.toml
exits 4 "nowhere" "$simsiam" train toy.toml --data cifar10:nowhere --out e
head -c 1000 /dev/urandom >bad.idx
exits 4 "bad.idx" "$simsiam" train toy.toml --data idx:bad.idx --out e
idx() { printf "\\0\\0\\10\\3\\0\\0\\0\\$(printf %o "$1")\\0\\0\\0\\10\\0\\0\\0\\10"; head -c $((64 * $1)) /dev/urandom; }
labels() { printf "\\0\\0\\10\\1\\0\\0\\0\\$(printf %o "$1")"; head -c "$1" /dev/zero; }
idx 64 >a.idx; labels 64 >a.lab; idx 16 >t.idx; labels 16 >t.lab
check "idx files as the help says" "$simsiam" train toy.toml --data "idx:a.idx,a.lab;t.idx,t.lab" --set augment.preset=grey --out idx --quiet
check "the help says it" bash -c "'$simsiam' info --recipe | grep -qF 'idx:IMAGES,LABELS;TEST_IMAGES,TEST_LABELS'"
head -c 500 $last >torn.safetensors
exits 5 "torn.safetensors" "$simsiam" eval torn.safetensors
exits 5 "f.safetensors" "$simsiam" eval f.safetensors
exits 5 "another recipe" "$simsiam" train toy.toml --set train.decay=0.1 --out whole --resume auto --quiet
exits 9 "features.safetensors" bash -c "ulimit -f 8; exec '$simsiam' features $last --data synthetic:2000 --out features.safetensors --page n.html"
check "nothing half-written stays" bash -c "! ls features.safetensors* 2>/dev/null"

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
