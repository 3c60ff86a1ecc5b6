#!/usr/bin/env bash
# Compiles one .cu and keeps what ptxas said.    nvcc.sh BASE nvcc flags... source.cu -> BASE.o BASE.d BASE.ptxas
set -uo pipefail
base=$1
shift
if "$@" -c -MD -MF "$base.d" -MT "$base.o" -o "$base.o" > "$base.ptxas" 2>&1; then exit 0; fi
grep -vE 'Compiling entry|Function properties|Used [0-9]+ reg|bytes stack frame|Compile time|bytes gmem' "$base.ptxas"
exit 1
