#!/usr/bin/env bash
# Reads in what nvcc made for 9.0 that every kernel waits for the one before it ahead of its first access to memory, and
# reads nothing by ld.global.nc: docs/cuda.md, "Programmatic dependent launch". Of the machine's code too where there
# is a cuobjdump.
#   tools/check_waits.sh [build/cuda]
set -uo pipefail
cd "$(dirname "$0")/.."
build=${1:-build/cuda} failed=0 kernels=0

# PTX, or what cuobjdump -sass prints: names the kernels that break a rule, then says how many there are.
judge() {
  c++filt | awk '
    function ended() {
      if (name == "") return
      ++kernels
      if (!waited) print name ": never waits"
    }
    /\.entry |Function : / {
      ended()
      name = $0; sub(/.*(\.entry|Function :) /, "", name); sub(/>\(.*$/, ">", name); sub(/^void /, "", name)
      gsub(/stopgrad::|cuda::|\(anonymous namespace\)::/, "", name)
      waited = early = plain = 0
    }
    /griddepcontrol\.wait|ACQBULK/ { waited = 1 }
    !waited && !early && /^[ \t]*(@!?%p[0-9]+ +)?(ld\.[^p]|st\.|atom|red\.|cp\.|bar|bra|call|ret|shfl|vote)/ { early = $0 }
    !waited && !early && /\*\/ +(@!?U?P[0-9T]+ +)?(LD[GSL.]|ST[GSL.]|ATOM|RED|BAR|BRA|CALL|EXIT|UBLKCP)/ { early = $0 }
    early && !told[name]++ { sub(/^[ \t]*/, "", early); print name ": before the wait: " early }
    /ld\.global\.nc|ldu\.|LDG.*CONSTANT/ && !plain++ { sub(/^[ \t]*/, ""); print name ": read as constant: " $0 }
    END { ended(); print kernels + 0 " kernels" }'
}

check() {  # what, command that prints the code
  local found
  found=$("${@:2}" | judge)
  kernels=$((kernels + $(tail -1 <<< "$found" | cut -d' ' -f1)))
  found=$(sed '$d' <<< "$found")
  [ -z "$found" ] || { sed "s|^|$1: |" <<< "$found"; failed=1; }
}

shopt -s nullglob
dump=$(command -v cuobjdump || ls /usr/local/cuda/bin/cuobjdump 2> /dev/null || true)
for ptx in "$build"/cuda/*.ptx; do check "$(basename "$ptx")" cat "$ptx"; done
[ $kernels -gt 0 ] || { echo "check_waits: no PTX in $build/cuda: cmake --build --preset cuda" >&2; exit 1; }
in_ptx=$kernels kernels=0
if [ -n "$dump" ]; then
  for object in "$build"/cuda/*.o; do check "$(basename "$object")" "$dump" -sass -arch sm_90 "$object"; done
fi
echo "kernels that were looked at: $in_ptx in PTX, $([ -n "$dump" ] && echo "$kernels in SASS" || echo "none in SASS, as no cuobjdump is here")"
exit $failed
