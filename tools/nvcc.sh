#!/usr/bin/env bash
# Compiles one .cu and keeps what ptxas said, and the PTX for 9.0.
#   nvcc.sh BASE nvcc flags... source.cu -> BASE.o BASE.d BASE.ptxas BASE.ptx
set -uo pipefail
base=$1
shift
rm -rf "$base.steps" "$base.ptx"
mkdir "$base.steps" || exit 1
"$@" -c -MD -MF "$base.d" -MT "$base.o" -o "$base.o" --keep --keep-dir "$base.steps" > "$base.ptxas" 2>&1
status=$?
cp "$base.steps"/*.compute_90.ptx "$base.ptx" 2> /dev/null
rm -rf "$base.steps"
[ $status = 0 ] && exit 0
grep -vE 'Compiling entry|Function properties|Used [0-9]+ reg|bytes stack frame|Compile time|bytes gmem' "$base.ptxas"
exit 1
