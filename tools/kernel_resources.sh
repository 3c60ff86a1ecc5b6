#!/usr/bin/env bash
# Registers, shared memory and launch bounds of every kernel, as ptxas reported them for sm_90 when it was compiled.
#   tools/kernel_resources.sh [build/cuda]
set -euo pipefail
cd "$(dirname "$0")/.."
build=${1:-build/cuda}
printf '%-26s %-56s %9s %7s\n' file kernel registers shared
find "$build" -name '*.ptxas' | sort | while read -r log; do
  tr -d "'" < "$log" | c++filt | awk -v file="$(basename "$log" .ptxas)" '
    /Compiling entry function/ {
      name = $0; sub(/.*entry function /, "", name); sub(/ for sm.*/, "", name)
      sub(/^ *void /, "", name); gsub(/stopgrad::|cuda::|\(anonymous namespace\)::/, "", name); sub(/>\(.*$/, ">", name)
      wanted = /sm_90/
    }
    /Used [0-9]+ registers/ && wanted {
      match($0, /Used [0-9]+/); registers = substr($0, RSTART + 5, RLENGTH - 5)
      shared = 0; if (match($0, /[0-9]+ bytes smem/)) shared = substr($0, RSTART, RLENGTH - 11)
      printf "%-26s %-56s %9d %7d\n", file, name, registers, shared
    }'
done
