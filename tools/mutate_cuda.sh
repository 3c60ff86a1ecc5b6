#!/usr/bin/env bash
# Breaks one line of a kernel at a time, rebuilds the emulated device's tests and sees that one fails: plain, then under
# ThreadSanitizer, then under AddressSanitizer, until it is killed. Prints a table; exit 1 if a mutant survives.
#   tools/mutate_cuda.sh fixed                 seven mutants, as CI runs them
#   tools/mutate_cuda.sh kernels/x.cu...       each barrier, fence, warp mask and bound of these files in turn
# Works in place, on committed files only, and puts each back, also when interrupted. PRESETS: which builds, in which
# order. ONLY: which lines, as x.cu:12. TAG: which tests, if the file's name does not say.
set -uo pipefail
cd "$(dirname "$0")/.."
saved=$(mktemp -d)
broken=
restore() { [ -z "$broken" ] || cp "$saved/original" "$broken"; broken=; }
trap 'restore; rm -rf "$saved"' EXIT
trap 'exit 130' INT TERM

build() { (cmake --preset "$1" && cmake --build --preset "$1" --target cuda_tests) >"$saved/build.log" 2>&1; }

# kill_mutant FILE LINE REPLACEMENT TAG -> sets killer: what noticed, or nothing
kill_mutant() {
  local file=$1 line=$2 text=$3 tag=$4 preset
  git diff --quiet -- "$file" || { echo "$file has changes that are not committed" >&2; exit 2; }
  cp "$file" "$saved/original"
  broken=$file killer=
  TEXT=$text awk -v n="$line" 'NR == n {print ENVIRON["TEXT"]; next} {print}' "$saved/original" >"$file"
  for preset in $presets; do
    if ! build "$preset"; then killer=compiler; break; fi  # no mutant: it never ran
    local code=0
    TSAN_OPTIONS=halt_on_error=1 timeout 600 "build/$preset/tests/cuda/cuda_tests" "$tag" -a >"$saved/run.log" 2>&1 || code=$?
    [ $code -ne 0 ] || continue
    killer=${preset#emulate}
    killer=${killer#-}
    killer=${killer:-plain}
    [ $code -ne 124 ] || killer=time
    break
  done
  restore
}

survivors=0 refused=0 count=0
try() {  # file line replacement tag
  [ -z "${ONLY:-}" ] || case " $ONLY " in *" ${1##*/}:$2 "*) ;; *) return ;; esac
  kill_mutant "$@"
  count=$((count + 1))
  case $killer in
    "") survivors=$((survivors + 1)) ;;
    compiler) refused=$((refused + 1)) ;;
  esac
  local shown
  shown=$(sed 's/^ *//' <<<"$3" | cut -c1-90)
  printf '%-28s %4d  %-9s %s\n' "$1" "$2" "${killer:-SURVIVED}" "${shown:-(gone)}"
}
# mutants_of FILE: number and new text of a line for each way to break it. A barrier goes, an end moves by one, a limit
# is passed, a lane is missing.
mutants_of() {
  awk '
    function each(from, to,   code, at, done) {
      code = $0
      sub(/\/\/.*/, "", code)
      for (done = 0; (at = index(substr(code, done + 1), from)) > 0; done += at)
        print NR "\t" substr($0, 1, done + at - 1) to substr($0, done + at + length(from))
    }
    /^ *(\/\/|#|template|static_assert|constexpr)/ {next}
    /(__sync(threads|warp)|__threadfence|grid_barrier)\(.*\);/ {print NR "\t"; next}
    {
      each(" < ", " <= "); each(" >= ", " > "); each(" <= ", " < "); each("; count > 0", "; count >= 0")
      each("min(", "max("); each("kAllLanes,", "0x7fffffffu,")
    }' "$1"
}
# change FILE TEXT OTHER TAG: the first line that holds TEXT, with OTHER in its place
change() {
  local line
  line=$(grep -nF -- "$2" "$1" | head -1 | cut -d: -f1)
  [ -n "$line" ] || { echo "$1 has no '$2'" >&2; exit 2; }
  local text
  text=$(sed -n "${line}p" "$1")
  try "$1" "$line" "${text/"$2"/"$3"}" "$4"
}

# Tests that fail anyway kill nothing.
checked=
healthy() {
  [ "$checked" != "$1" ] || return 0
  checked=$1
  for preset in $presets; do
    build "$preset" && "build/$preset/tests/cuda/cuda_tests" "$1" >"$saved/run.log" 2>&1 ||
      { echo "$preset fails without a mutant too:" >&2; tail -5 "$saved/build.log" "$saved/run.log" >&2; exit 2; }
  done
}

if [ "${1:-fixed}" = fixed ]; then
  presets=${PRESETS:-emulate}
  healthy '[batch_norm],[cosine_loss],[augment],[topk],[sgd]'
  change kernels/batch_norm_tiles.cuh '__syncthreads();' '' '[batch_norm]'
  change kernels/batch_norm.cu 'part.shift - origin' 'part.shift' '[batch_norm]'
  change kernels/batch_norm_on_chip.cuh 'if (splits > 1) grid_barrier();' '' '[batch_norm]'
  change kernels/cosine_loss.cu 'if (team.row >= call.rows) return;' 'if (team.row > call.rows) return;' '[cosine_loss]'
  change kernels/augment.cu 'p.contrast) * grey_mean' 'p.contrast) + 0 * grey_mean' '[augment]'
  change kernels/topk.cu '__syncthreads();' '' '[topk]'
  change kernels/sgd.cu '+ c.decay' '- c.decay' '[sgd]'
else
  presets=${PRESETS:-emulate emulate-tsan emulate-asan}
  for file in "$@"; do
    tag=${TAG:-"[$(basename "$file" | sed -E 's/(_backward|_tiles|_on_chip|_view|_pixel)?\.(cu|cuh|h)$//
      s/reduce_columns/reduce/; s/^(rows|pairs)$/cosine_loss/')]"}
    healthy "$tag"
    while IFS=$'\t' read -r line text; do
      try "$file" "$line" "$text" "$tag"
    done < <(mutants_of "$file")
  done
fi
echo "$count mutants, $survivors survived, $refused did not compile"
[ $survivors = 0 ] && { [ "${1:-fixed}" != fixed ] || [ $refused = 0 ]; }
